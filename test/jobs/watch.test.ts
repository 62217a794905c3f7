import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { LiveCurves, watchJob } from '../../main/jobs/watch'
import type { JobChange, JobRecord } from '../../preload/jobs'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-watch-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const id = '20260101-000000-00000000'
const at = (done: number, loss: number): JobRecord => ({
  format: 'patchbay.job',
  version: 1,
  id,
  kind: 'steering',
  title: 'Job',
  input: {},
  state: 'running',
  progress: { done, total: 9, what: '', eta: null, numbers: { loss } },
  created: '2026-01-01T00:00:00.000Z',
  updated: `2026-01-01T00:00:0${done}.000Z`,
  error: null,
  result: null,
})
const saved = (losses: readonly number[]): void => {
  const steps = losses.map((loss, step) => ({ step, loss, rate: 1, gradientNorm: 1, metrics: {} }))
  writeFileSync(path.join(folder, 'loss.json'), JSON.stringify({ steps, evaluations: [] }))
}

describe('the loss curve of a job', () => {
  it('is what was saved, and what was seen since', async () => {
    const curves = new LiveCurves()
    expect(await curves.since(id, folder, -1)).toEqual([])
    saved([9, 8, 7, 6])
    for (const [done, loss] of [
      [3, 70],
      [4, 60],
      [5, 50],
    ])
      curves.add(at(done, loss))
    expect((await curves.since(id, folder, -1)).map(({ loss }) => loss)).toEqual([9, 8, 70, 60, 50])
    expect(await curves.since(id, folder, 3)).toEqual([{ step: 4, loss: 50 }])
  })

  it('has each step once where a job goes on from an earlier checkpoint', async () => {
    const curves = new LiveCurves()
    for (const done of [1, 2, 3, 2, 3]) curves.add(at(done, done))
    expect((await curves.since(id, folder, -1)).map(({ step }) => step)).toEqual([0, 1, 2])
  })

  it('does without a saved part that is damaged', async () => {
    writeFileSync(path.join(folder, 'loss.json'), '{"steps": [')
    expect(await new LiveCurves().since(id, folder, -1)).toEqual([])
  })
})

describe('watching a job', () => {
  it('tells only of changes, with the steps since, and ends with the job', async () => {
    const records = [at(1, 3), at(1, 3), at(2, 2), { ...at(2, 2), state: 'done' as const }]
    const curves = new LiveCurves()
    const told: JobChange[] = []
    const last = await watchJob(id, {
      queue: {
        get: async () => {
          const record = records.shift() ?? at(9, 0)
          curves.add(record)
          return record
        },
      },
      curve: (after) => curves.since(id, folder, after),
      signal: new AbortController().signal,
      tell: (change) => void told.push(change),
    })
    expect(last.state).toBe('done')
    expect(told.map(({ job, points }) => [job.state, points.map(({ step }) => step)])).toEqual([
      ['running', [0]],
      ['running', [1]],
      ['done', []],
    ])
  })

  it('ends at once where nobody watches any more', async () => {
    const stop = new AbortController()
    const watching = watchJob(id, {
      queue: { get: async () => at(1, 1) },
      curve: async () => [],
      signal: stop.signal,
      tell: () => stop.abort(),
    })
    await expect(watching).rejects.toMatchObject({ code: 'run.cancelled' })
  })
})
