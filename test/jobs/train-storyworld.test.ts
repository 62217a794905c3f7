import { mkdtempSync, existsSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { JobKinds } from '../../main/jobs/kinds'
import { trainStoryworldJob } from '../../main/jobs/kinds/train-storyworld'
import { LocalQueue } from '../../main/jobs/local-queue'
import type { JobRecord } from '../../preload/jobs'
import { JobStore } from '../../main/jobs/store'
import { tinyStoryworld } from '../training/support'

let folder: string
let source: string
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-job-'))
  source = tinyStoryworld()
})
afterEach(() => {
  for (const each of [folder, source]) rmSync(each, { recursive: true, force: true })
})

it('trains storyworld as a job that is paused, resumed and done', async () => {
  const store = new JobStore(folder)
  const queue = await LocalQueue.open(store, new JobKinds().add(trainStoryworldJob(source)))
  const until = (id: string, state: JobRecord['state']): Promise<JobRecord> =>
    new Promise((resolve) => {
      const stop = queue.onChange((record) => {
        if (record.id === id && record.state === 'failed') throw new Error(record.error?.message)
        if (record.id !== id || record.state !== state) return
        stop()
        resolve(record)
      })
    })
  let paused = false
  queue.onChange(({ id, progress }) => {
    if (progress?.done === 3 && !paused) void queue.pause(id)
    paused ||= progress?.done === 3
  })
  const settings = { steps: 6, rows: 4, columns: 16, evaluateEvery: null, checkpointEvery: 100 }
  const { id, title } = await queue.submit('train.storyworld', settings)
  expect(title).toBe('Train storyworld for 6 steps')
  expect((await until(id, 'paused')).progress).toMatchObject({ done: 3, total: 6, what: 'Step 3 of 6' })
  const done = until(id, 'done')
  await queue.resume(id)
  expect((await done).result).toMatchObject({ kind: 'storyworld', steps: 6 })
  expect((await queue.get(id)).progress?.numbers.loss).toBeGreaterThan(5)
  for (const name of ['checkpoint.safetensors', 'loss.csv', 'model/model.safetensors'])
    expect([name, existsSync(path.join(store.folderOf(id), name))]).toEqual([name, true])
  await queue.close()
})
