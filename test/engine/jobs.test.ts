/** Jobs through the engine's own calls, on storyworld: probes, dictionaries, steering vectors, and what is refused. */
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Engine } from '../../main/engine/engine'
import { SafetensorsFile } from '../../main/models/formats/safetensors'
import { openSaelensFolder } from '../../main/training/dictionary/saelens-folder'
import type { JobRecord, LossPoint } from '../../preload/jobs'
import { trainingResult, type TrainingResult } from '../../preload/training'

let folder: string
let engine: Engine
const model = { location: { kind: 'embedded' }, provider: 'cpu' } as const

const openEngine = (): Engine =>
  new Engine({
    dataDir: path.join(folder, 'data'),
    cacheDir: path.join(folder, 'cache'),
    assetsDir: path.join(import.meta.dirname, '../../assets'),
  })
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'patchbay-engine-jobs-'))
  engine = openEngine()
})
afterAll(async () => {
  await engine.close()
  await rm(folder, { recursive: true, force: true })
})

/** Starts a job and follows it to its end. */
async function run(kind: string, input: unknown): Promise<{ job: JobRecord; points: LossPoint[] }> {
  const { id } = await engine.call('jobs.start', { kind, input })
  const points: LossPoint[] = []
  const job = await engine.call(
    'jobs.watch',
    { id },
    { onProgress: (change) => points.push(...change.points) },
  )
  return { job, points }
}
function resultOf<Kind extends TrainingResult['kind']>(
  { state, error, result }: JobRecord,
  kind: Kind,
): Extract<TrainingResult, { kind: Kind }> {
  expect([state, error]).toEqual(['done', null])
  const parsed = trainingResult.parse(result)
  expect(parsed.kind).toBe(kind)
  return parsed as Extract<TrainingResult, { kind: Kind }>
}

const nouns = ['cat', 'dog', 'girl', 'boy', 'bird', 'tree', 'house', 'river']
const happy = nouns.map((noun) => ({ text: `The ${noun} was happy and glad`, label: 1 }))
const sad = nouns.map((noun) => ({ text: `The ${noun} was sad and angry`, label: 0 }))

const threeClasses = {
  rows: {
    source: { kind: 'rows', rows: ['a', 'b', 'c'].map((label) => ({ text: `The ${label}`, label })) },
    prompt: { kind: 'column', column: 'text' },
    label: 'label',
  },
  positive: 'a',
}

describe('a probe as a job', () => {
  it('tells at each layer how well texts are told apart, and keeps the directions', async () => {
    const { job } = await run('probe', {
      model,
      examples: [...happy, ...sad],
      controls: 5,
      inversePenalty: 1,
    })
    const { layers, file } = resultOf(job, 'probe')
    expect(layers.map(({ layer }) => layer)).toEqual(layers.map((_, i) => i))
    const [first] = layers
    expect(first.hook).toBe('blocks.0.hook_resid_post')
    expect(first.test).toMatchObject({ rows: 4, accuracy: 1, auc: 1 })
    expect(first.test.calibration?.bins).toHaveLength(10)
    expect(first.control?.accuracies).toHaveLength(5)
    const saved = await SafetensorsFile.open(file)
    expect(saved.tensors.size).toBe(2 * layers.length)
    expect(await saved.readFloat32(`${first.hook}.direction`)).toHaveLength(
      saved.tensors.get(`${first.hook}.direction`)?.shape[0] ?? -1,
    )
    await saved.close()
  })

  it('is fitted on a data set’s rows like on the same texts, and names the rows that could not be used', async () => {
    const file = path.join(folder, 'labelled.csv')
    const rows = [...happy, ...sad].map(({ text, label }) => `${text},${label === 1 ? 'yes' : 'no'}`)
    await writeFile(file, ['text,is happy', ...rows, ',yes', 'no label,'].join('\n'))
    const dataset = {
      rows: {
        source: { kind: 'file', path: file },
        prompt: { kind: 'column', column: 'text' },
        label: 'is happy',
      },
      positive: 'yes',
    }
    const given = resultOf((await run('probe', { model, examples: [...happy, ...sad] })).job, 'probe')
    const { job } = await run('probe', { model, dataset })
    const found = resultOf(job, 'probe')
    expect(found.layers).toEqual(given.layers)
    expect(given.failed).toBe(0)
    expect(found.failed).toBe(2)
    expect(found.failures).toMatchObject([
      { row: 16, error: { code: 'prompt.empty' } },
      { row: 17, error: { field: 'is happy' } },
    ])
  })

  it('reads chosen layers of heads, as means over positions', async () => {
    const input = { model, examples: [...happy, ...sad], site: 'attn.hook_z', layers: [1], position: 'mean' }
    const { layers } = resultOf((await run('probe', { ...input, method: 'ridge' })).job, 'probe')
    expect(layers.map(({ hook, test }) => [hook, test.calibration])).toEqual([['blocks.1.attn.hook_z', null]])
  })

  it.each([
    ['texts of one class', { examples: happy }, 'input.invalid', /All 8 given examples are positive/],
    ['no texts', { examples: [] }, 'input.invalid', /no texts/],
    ['texts and a data set', { examples: happy, dataset: threeClasses }, 'input.invalid', /not on both/],
    ['three classes', { dataset: threeClasses }, 'input.invalid', /"b", "c"/],
    [
      'a data set without labels',
      { dataset: { ...threeClasses, rows: { ...threeClasses.rows, label: null } } },
      'input.invalid',
      /no column of labels/,
    ],
    [
      'an unknown hook point',
      { examples: [...happy, ...sad], site: 'hook_nothing' },
      'hook.unknown',
      /hook_nothing/,
    ],
    [
      'a layer that is not there',
      { examples: [...happy, ...sad], layers: [99] },
      'hook.unavailable',
      /blocks\.99/,
    ],
    [
      'a hook point without values at positions',
      { examples: [...happy, ...sad], site: 'attn.hook_pattern' },
      'hook.unavailable',
      /no fixed number of values/,
    ],
  ])('refuses %s in words', async (_, input, code, message) => {
    const { job } = await run('probe', { model, ...input })
    expect(job.state).toBe('failed')
    expect(job.error).toMatchObject({ code, message: expect.stringMatching(message) as string })
    expect(job.error?.next).toBeDefined()
  })
})

describe('a steering vector as a job', () => {
  const examples = nouns.slice(0, 4).map((noun) => ({
    prompt: `The ${noun} was`,
    target: ' happy',
    avoided: ' sad',
  }))
  const input = { model, hook: 'blocks.1.hook_resid_post', examples, steps: 12, name: 'Gladness' }

  it('raises what it should and lowers the rest, within its norm, and lies among the presets', async () => {
    const { job, points } = await run('steering', input)
    const { preset: id, before, after, norm, maxNorm } = resultOf(job, 'steering')
    expect(points.map(({ step }) => step)).toEqual(Array.from({ length: 12 }, (_, i) => i))
    expect(points[11].loss).toBeLessThan(points[0].loss)
    expect(after.raised).toBeGreaterThan(before.raised ?? 1)
    expect(norm).toBeLessThanOrEqual(maxNorm * (1 + 1e-6))
    const { presets, broken } = await engine.call('preset.list', {})
    expect(broken).toEqual([])
    const made = presets.find(({ preset }) => preset.id === id)
    expect(made?.preset).toMatchObject({
      name: 'Gladness',
      origin: { method: 'optimised', pairs: 4 },
      sites: [{ hook: input.hook, operation: 'add' }],
    })
    expect(made?.preset.sites[0].vector.norm).toBeCloseTo(norm, 3)
  })

  it.each([
    ['no examples', { examples: [] }, 'input.invalid'],
    ['a hook point off the residual stream', { hook: 'blocks.0.attn.hook_z' }, 'hook.unavailable'],
  ])('refuses %s in words', async (_, change, code) => {
    const { job } = await run('steering', { ...input, ...change })
    expect([job.state, job.error?.code]).toEqual(['failed', code])
  })
})

describe('a dictionary as a job', () => {
  const texts = [...happy, ...sad].map(({ text }) => text)
  const input = {
    model,
    hook: 'blocks.0.hook_resid_post',
    texts: { kind: 'texts', texts },
    dSae: 64,
    k: 8,
    steps: 30,
    rows: 32,
    rate: 3e-3,
  }

  it('ends as a SAELens folder with statistics on held-out texts', async () => {
    const { job, points } = await run('dictionary', input)
    const { folder: saved, statistics, loss } = resultOf(job, 'dictionary')
    expect((await openSaelensFolder(saved)).config).toMatchObject({ dSae: 64, k: 8, hook: input.hook })
    expect(points).toHaveLength(30)
    expect(points[29].loss).toBeLessThan(points[0].loss)
    expect(statistics.l0).toBeLessThanOrEqual(8)
    expect(statistics.explainedVariance).toBeGreaterThan(0)
    expect(loss.tokens).toBeGreaterThan(0)
    expect(loss.recovered).toBeCloseTo((loss.zeroed - loss.spliced) / (loss.zeroed - loss.original), 9)
  })

  it('reads texts from a file, and names the row that is none', async () => {
    const file = path.join(folder, 'texts.jsonl')
    await writeFile(file, `${texts.map((text) => JSON.stringify({ text })).join('\n')}\n{"no": 1}\n`)
    const { job } = await run('dictionary', { ...input, texts: { kind: 'file', path: file } })
    expect(job.error).toMatchObject({ code: 'file.malformed', field: `row ${texts.length}` })
  })

  it.each([
    ['no texts', { texts: { kind: 'texts', texts: [] } }, /no texts/],
    ['fewer activations than a batch', { rows: 100_000 }, /fewer than a batch of 100000/],
    ['more active features than there are', { k: 65 }, /65 of 64 features/],
  ])('refuses %s in words', async (_, change, message) => {
    const { job } = await run('dictionary', { ...input, ...change })
    expect(job.error).toMatchObject({
      code: 'input.invalid',
      message: expect.stringMatching(message) as string,
    })
  })
})

describe('the queue of an engine', () => {
  it('refuses an unknown kind, and a setting that does not fit, before anything is queued', async () => {
    const before = (await engine.call('jobs.list', {})).jobs.length
    await expect(engine.call('jobs.start', { kind: 'bake', input: {} })).rejects.toMatchObject({
      field: 'kind',
    })
    await expect(
      engine.call('jobs.start', { kind: 'probe', input: { model, examples: [], heldOut: 2 } }),
    ).rejects.toMatchObject({ code: 'input.invalid', field: 'heldOut' })
    expect((await engine.call('jobs.list', {})).jobs).toHaveLength(before)
  })

  it('goes on with a job that another engine left, and ends with its whole curve', async () => {
    const steering = {
      model,
      hook: 'blocks.0.hook_resid_post',
      examples: [{ prompt: 'The cat was', target: ' happy' }],
      steps: 40,
      name: 'Interrupted',
    }
    const { id } = await engine.call('jobs.start', { kind: 'steering', input: steering })
    while (((await engine.jobs.get(id)).progress?.done ?? 0) < 3)
      await new Promise((resolve) => setImmediate(resolve))
    await engine.close()
    engine = openEngine()
    const left = await engine.call('jobs.list', {})
    expect(left.jobs.find((job) => job.id === id)?.state).toBe('queued')
    await engine.close()
    engine = openEngine()
    engine.goOnWithJobs()
    const points: LossPoint[] = []
    const job = await engine.call(
      'jobs.watch',
      { id },
      { onProgress: (change) => points.push(...change.points) },
    )
    expect(job.state).toBe('done')
    expect(points.map(({ step }) => step)).toEqual(Array.from({ length: 40 }, (_, i) => i))
  })

  it('removes a job with what it kept, and knows it no more', async () => {
    const [{ id }] = (await engine.call('jobs.list', {})).jobs
    await engine.call('jobs.remove', { id })
    expect(existsSync(path.join(folder, 'data', 'jobs', id))).toBe(false)
    await expect(engine.call('jobs.watch', { id })).rejects.toMatchObject({ code: 'file.missing' })
  })
})
