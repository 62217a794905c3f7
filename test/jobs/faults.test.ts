/** What goes wrong with jobs of every kind: a disk that fills up under a checkpoint, numbers that are none, data that is none. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { Engine } from '../../main/engine/engine'
import type * as Durable from '../../main/files/durable-file'
import { JobKinds } from '../../main/jobs/kinds'
import { trainStoryworldJob } from '../../main/jobs/kinds/train-storyworld'
import { LocalQueue } from '../../main/jobs/local-queue'
import { JobStore } from '../../main/jobs/store'
import { SafetensorsFile } from '../../main/models/formats/safetensors'
import { loadCheckpoint } from '../../main/training/checkpoint'
import type { JobRecord, JobState } from '../../preload/jobs'
import type { RunRequest, RunResult } from '../../preload/run'
import { failingFs } from '../files/failing-fs'
import { tinyStoryworld } from '../training/support'

/** The disk is full for files of this name, from this one on. */
const disk = vi.hoisted(() => ({ fullFor: null as RegExp | null, after: 0 }))

vi.mock('../../main/files/durable-file', async (importOriginal) => {
  const original = await importOriginal<typeof Durable>()
  const writeDurably: typeof Durable.writeDurably = (target, produce, options) => {
    const isFull = disk.fullFor?.test(target) === true && disk.after-- <= 0
    return original.writeDurably(
      target,
      produce,
      isFull ? { ...options, fs: failingFs(4, 'ENOSPC').fs } : options,
    )
  }
  return { ...original, writeDurably }
})

let folder: string
let engine: Engine
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'patchbay-faults-'))
  engine = new Engine({
    dataDir: path.join(folder, 'data'),
    cacheDir: path.join(folder, 'cache'),
    assetsDir: path.join(import.meta.dirname, '../../assets'),
  })
})
afterEach(() => void Object.assign(disk, { fullFor: null, after: 0 }))
afterAll(async () => {
  await engine.close()
  await rm(folder, { recursive: true, force: true })
})

const model = { location: { kind: 'embedded' }, provider: 'cpu' } as const
const nouns = ['cat', 'dog', 'girl', 'boy', 'bird', 'tree', 'house', 'river']
const happy = nouns.map((noun) => ({ text: `The ${noun} was happy and glad`, label: 1 }))
const sad = nouns.map((noun) => ({ text: `The ${noun} was sad and angry`, label: 0 }))
const probe = { model, examples: [...happy, ...sad], controls: 2, layers: [0, 1, 2] }
const steering = {
  model,
  hook: 'blocks.1.hook_resid_post',
  examples: nouns.slice(0, 3).map((noun) => ({ prompt: `The ${noun} was`, target: ' happy' })),
  steps: 52,
  name: 'Gladness',
}
const dictionary = {
  model,
  hook: 'blocks.0.hook_resid_post',
  texts: { kind: 'texts', texts: [...happy, ...sad].map(({ text }) => text) },
  dSae: 32,
  k: 4,
  steps: 9,
  rows: 16,
  checkpointEvery: 3,
}

const place = (id: string, ...names: string[]): string => path.join(folder, 'data/jobs', id, ...names)
const ended = (id: string): Promise<JobRecord> => engine.call('jobs.watch', { id })
async function run(kind: string, input: unknown): Promise<JobRecord> {
  const { id } = await engine.call('jobs.start', { kind, input })
  return ended(id)
}
/** Resumes a job with room on the disk; with the runs of the model that it then asked for. */
async function resumed({ id }: JobRecord): Promise<{ done: JobRecord; runs: RunRequest[] }> {
  disk.fullFor = null
  const open = await engine.models.get((await engine.call('model.open', model)).handle)
  const compute = vi.spyOn(open, 'compute')
  await engine.call('jobs.resume', { id })
  const done = await ended(id)
  const runs = compute.mock.calls.map(([{ request }]) => request)
  compute.mockRestore()
  return { done, runs }
}
const partials = (id: string): string[] =>
  readdirSync(place(id), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.partial'))

async function tensorsOf(file: string): Promise<Map<string, Float32Array>> {
  const opened = await SafetensorsFile.open(file)
  const tensors = new Map<string, Float32Array>()
  for (const name of opened.tensors.keys()) tensors.set(name, await opened.readFloat32(name))
  await opened.close()
  return tensors
}

describe('a disk that fills up under a job', () => {
  it('pauses a probe behind the layers that are done, which are not fitted again', async () => {
    const whole = await run('probe', probe)
    Object.assign(disk, { fullFor: /layers[/\\]\d+\.safetensors$/, after: 2 })
    const paused = await run('probe', probe)
    expect(paused).toMatchObject({ state: 'paused', error: { code: 'disk.full' } })
    expect(paused.error?.message).toContain('The 2 layers that are done were kept.')
    expect(readdirSync(place(paused.id, 'layers')).sort()).toEqual(['0.safetensors', '1.safetensors'])
    const { done, runs } = await resumed(paused)
    expect([...new Set(runs.flatMap(({ captures }) => captures))]).toEqual(['blocks.2.hook_resid_post'])
    expect(done.progress).toMatchObject({ done: 96, total: 96 })
    const layersOf = ({ result }: JobRecord): unknown => (result as { layers: unknown }).layers
    expect(done.state).toBe('done')
    expect(layersOf(done)).toEqual(layersOf(whole))
    const [a, b] = [whole, done].map(({ id }) => tensorsOf(place(id, 'probe.safetensors')))
    expect(await b).toEqual(await a)
    expect(partials(done.id)).toEqual([])
  })

  it.each<[string, string, object, number, number]>([
    ['a steering vector', 'steering', steering, 25, 29],
    ['a dictionary', 'dictionary', dictionary, 3, 0],
  ])(
    'pauses %s behind its last checkpoint, from which it goes on',
    async (_, kind, input, kept, backward) => {
      Object.assign(disk, { fullFor: /checkpoint\.safetensors$/, after: 1 })
      const paused = await run(kind, input)
      expect(paused).toMatchObject({ state: 'paused', error: { code: 'disk.full' } })
      expect(paused.error?.message).toContain(`The checkpoint of step ${kept} was kept.`)
      const saved = await loadCheckpoint(place(paused.id, 'checkpoint.safetensors'))
      expect(saved?.state).toMatchObject({ step: kept })
      expect(partials(paused.id)).toEqual([])
      const { done, runs } = await resumed(paused)
      expect([done.state, done.error]).toEqual(['done', null])
      // Of a vector: the steps that were left, and two runs that tell what it does.
      expect(runs.filter((request) => request.backward !== undefined)).toHaveLength(backward)
    },
  )

  it('pauses the training of a model behind its last checkpoint, from which it goes on', async () => {
    const own = mkdtempSync(path.join(os.tmpdir(), 'patchbay-faults-'))
    const source = tinyStoryworld()
    const store = new JobStore(own)
    const queue = await LocalQueue.open(store, new JobKinds().add(trainStoryworldJob(source)))
    const until = (id: string, ...states: JobState[]): Promise<JobRecord> =>
      new Promise((resolve) => {
        const stop = queue.onChange((record) => {
          if (record.id !== id || !states.includes(record.state)) return
          stop()
          resolve(record)
        })
      })
    try {
      Object.assign(disk, { fullFor: /checkpoint\.safetensors$/, after: 1 })
      const settings = { steps: 4, rows: 2, columns: 16, evaluateEvery: null, checkpointEvery: 2 }
      const { id } = await queue.submit('train.storyworld', settings)
      const paused = await until(id, 'paused', 'failed', 'done')
      expect(paused).toMatchObject({ state: 'paused', error: { code: 'disk.full' } })
      expect(paused.error?.message).toContain('The checkpoint of step 2 was kept.')
      disk.fullFor = null
      const done = until(id, 'failed', 'done')
      await queue.resume(id)
      expect((await done).result).toMatchObject({ kind: 'storyworld', steps: 4 })
    } finally {
      await queue.close()
      for (const each of [own, source]) rmSync(each, { recursive: true, force: true })
    }
  })
})

/** A job on a model whose results are changed; told is which backward pass it is, from 1. */
async function withRuns(
  input: object,
  kind: string,
  change: (result: RunResult, backward: number) => void,
): Promise<JobRecord> {
  const open = await engine.models.get((await engine.call('model.open', model)).handle)
  const compute = open.compute.bind(open)
  let backward = 0
  const spy = vi.spyOn(open, 'compute').mockImplementation(async (given, options) => {
    const result = await compute(given, options)
    change(result, given.request.backward === undefined ? 0 : ++backward)
    return result
  })
  const record = await run(kind, input)
  spy.mockRestore()
  return record
}

describe('numbers that are none', () => {
  it('stop a steering vector, saying where', async () => {
    const failed = await withRuns(steering, 'steering', (result, backward) => {
      if (backward === 30) result.metric?.data.fill(NaN)
    })
    expect(failed).toMatchObject({ state: 'failed', error: { code: 'run.failed' } })
    expect(failed.error?.message).toBe('The loss is NaN at step 28. The checkpoint of step 25 was kept.')
    const saved = await loadCheckpoint(place(failed.id, 'checkpoint.safetensors'))
    expect(saved?.state).toMatchObject({ step: 25 })
  })

  it('stop a dictionary, saying where, and leave its last good checkpoint', async () => {
    const failed = await run('dictionary', { ...dictionary, rate: 1e38, checkpointEvery: 1 })
    expect(failed).toMatchObject({ state: 'failed', error: { code: 'run.failed' } })
    const step = Number(/The checkpoint of step (\d+) was kept\.$/.exec(failed.error?.message ?? '')?.[1])
    expect(failed.error?.message).toMatch(new RegExp(`at step ${step}`))
    const saved = await loadCheckpoint(place(failed.id, 'checkpoint.safetensors'))
    expect(saved?.state).toMatchObject({ step })
  })

  it('fail a probe, naming text and hook point', async () => {
    const failed = await withRuns(probe, 'probe', ({ captures }) => {
      for (const { data } of Object.values(captures)) data.fill(NaN)
    })
    expect(failed.error).toMatchObject({ code: 'input.invalid' })
    expect(failed.error?.message).toMatch(/text 0 at blocks\.0\.hook_resid_post.*not finite \(NaN/)
    expect(existsSync(place(failed.id, 'probe.safetensors'))).toBe(false)
  })
})

describe('input that nothing can be made of', () => {
  it.each<[string, string, object]>([
    ['a probe without texts', 'probe', { ...probe, examples: [] }],
    ['a probe with one class', 'probe', { ...probe, examples: sad }],
    ['a steering vector without examples', 'steering', { ...steering, examples: [] }],
    ['a dictionary without texts', 'dictionary', { ...dictionary, texts: { kind: 'texts', texts: [] } }],
    [
      'a dictionary of blank texts',
      'dictionary',
      { ...dictionary, texts: { kind: 'texts', texts: [' ', '\n'] } },
    ],
    [
      'a topk transcoder, which could not be saved',
      'dictionary',
      { ...dictionary, activation: 'topk', outputHook: 'blocks.1.hook_mlp_out' },
    ],
  ])('is refused: %s', async (_, kind, input) => {
    const failed = await run(kind, input)
    expect(failed).toMatchObject({ state: 'failed', error: { code: 'input.invalid' } })
    expect(failed.error?.next).toBeTruthy()
  })

  it.each([{ steps: 0 }, { rows: 0 }, { columns: 0 }])('is no training of a model: %o', async (settings) => {
    await expect(
      engine.call('jobs.start', { kind: 'train.storyworld', input: settings }),
    ).rejects.toMatchObject({ code: 'input.invalid' })
  })
})
