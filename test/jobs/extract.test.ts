/** Extractions as jobs of the engine, on the embedded model. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Engine } from '../../main/engine/engine'
import { extractJob } from '../../main/jobs/kinds/extract'
import { extractInput, extractResult, type ExtractInput } from '../../preload/extraction'
import type { JobRecord } from '../../preload/jobs'
import { runRequest } from '../../preload/run'

const assetsDir = path.join(import.meta.dirname, '../../assets')

function folders(): { dataDir: string; cacheDir: string; assetsDir: string } {
  const root = mkdtempSync(path.join(os.tmpdir(), 'patchbay-extract-'))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  return { dataDir: path.join(root, 'data'), cacheDir: path.join(root, 'cache'), assetsDir }
}

function start(options = folders()): Engine {
  const engine = new Engine(options)
  onTestFinished(() => engine.close())
  return engine
}

const texts = [
  { text: 'The cat sat on the mat.', subject: 'cat', kind: 'animal' },
  { text: 'The film was good and I liked it.', subject: 'film', kind: 'thing' },
  { text: 'A dog runs home.', subject: 'bird', kind: 'animal' },
  { text: 'Anna gave the ball to Tom. Tom thanked Anna.', subject: 'ball', kind: 'thing' },
]

const input = (changes: Partial<ExtractInput> = {}): ExtractInput => ({
  name: 'Sentences',
  model: { location: { kind: 'embedded' }, provider: 'cpu' },
  dataset: {
    source: { kind: 'rows', rows: texts },
    prompt: { kind: 'column', column: 'text' },
    label: 'kind',
  },
  outputs: [{ hooks: ['blocks.*.hook_resid_post'] }],
  ...changes,
})

const finished = async (engine: Engine, given: ExtractInput): Promise<JobRecord> => {
  const { id } = await engine.call('jobs.start', { kind: 'extract', input: given })
  return engine.call('jobs.watch', { id })
}

describe('an extraction', () => {
  it('ends with a collection of all rows, with labels, failures by row and speed', async () => {
    const options = folders()
    const engine = start(options)
    const { dataset } = input()
    const job = await finished(
      engine,
      input({
        dataset: { ...dataset, span: { kind: 'column', column: 'subject' } },
        outputs: [
          { hooks: ['blocks.*.hook_resid_post'], positions: { kind: 'span' }, reduction: { kind: 'mean' } },
          { hooks: ['blocks.2.mlp.hook_post'], reduction: { kind: 'top', k: 5 }, dtype: 'bfloat16' },
        ],
      }),
    )
    expect([job.error, job.state]).toEqual([null, 'done'])
    const result = extractResult.parse(job.result)
    expect(result).toMatchObject({ rows: 3, failures: 1 })
    expect(result.tokensPerSecond).toBeGreaterThan(0)
    const collection = await engine.call('collections.describe', { id: result.collection })
    expect(collection).toMatchObject({ complete: true, rows: 3, tokens: result.tokens })
    expect(collection.failures.map(({ row }) => row)).toEqual([2])
    expect(collection.labels).toEqual(expect.arrayContaining([{ label: 'thing', rows: 2 }]))
    expect(collection.outputs).toHaveLength(6)
    // Nothing is left of what was only needed until it was done.
    const folder = path.join(options.dataDir, 'jobs', job.id)
    expect(readdirSync(folder).filter((name) => name.startsWith('stream'))).toEqual([])
  })

  it('gives the values of a run of each row, which another run then finds without computing them', async () => {
    const engine = start()
    const hooks = ['blocks.1.hook_resid_post']
    const job = await finished(engine, input({ outputs: [{ hooks, dtype: 'float32' }] }))
    const { collection } = extractResult.parse(job.result)
    const [model] = engine.models.handles()
    const { fingerprint } = (await engine.models.get(model)).facts
    const before = engine.activations.statistics()
    for (const row of texts.keys()) {
      const { stored, values } = await engine.collections.use(collection, async (open) => {
        const stored = await open.row(row)
        return { stored, values: await open.valuesOf(stored, hooks[0]) }
      })
      const request = runRequest.parse({
        model: fingerprint,
        rows: [stored.tokens],
        captures: hooks,
        logits: 'none',
      })
      const run = await engine.call('run.execute', { model, request })
      expect(run.captures[hooks[0]].data).toEqual(values?.data)
    }
    expect(engine.activations.statistics().hits - before.hits).toBe(texts.length)
  })

  it('goes on where it was left when its process ended, with the same numbers', async () => {
    const options = folders()
    const rows = Array.from({ length: 60 }, (_, i) => ({
      ...texts[i % 4],
      text: `${texts[i % 4].text} ${'So it went. '.repeat(i)}`,
    }))
    const dataset = { ...input().dataset, source: { kind: 'rows' as const, rows } }
    const given = input({
      dataset,
      mode: 'layer-major',
      outputs: [{ hooks: ['blocks.*.hook_resid_post'], dtype: 'float32' }],
    })
    const first = new Engine(options)
    const { id } = await first.call('jobs.start', { kind: 'extract', input: given })
    await new Promise<void>((resolve, reject) => {
      first
        .call(
          'jobs.watch',
          { id },
          {
            onProgress: ({ job }) =>
              job.progress?.what.startsWith('Block 1') === true ? resolve() : undefined,
          },
        )
        .then((job) => reject(new Error(`It ended: ${job.state}`)), reject)
    }).catch(() => undefined) // a fast machine may have done it all
    await first.close()

    const second = start(options)
    const { state } = await second.jobs.get(id)
    if (state !== 'done') await second.call('jobs.resume', { id })
    const job = await second.call('jobs.watch', { id })
    expect([job.error, job.state]).toEqual([null, 'done'])
    const resumed = extractResult.parse(job.result)
    const other = start()
    const whole = extractResult.parse((await finished(other, { ...given, mode: 'row-major' })).result)
    expect(whole.rows).toBe(resumed.rows)
    const { collection } = resumed
    await second.collections.use(collection, (open) =>
      other.collections.use(whole.collection, async (reference) => {
        for (let row = 0; row < open.length; row++) {
          expect(await open.missing(await open.row(row))).toEqual([])
          for (const layer of [0, 3]) {
            const name = `blocks.${layer}.hook_resid_post`
            const [ours, theirs] = [await open.read(row, name), await reference.read(row, name)]
            if (ours === null || theirs === null) throw new Error(`Row ${row} has no ${name}.`)
            const largest = theirs.data.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
            const apart = theirs.data.reduce((most, x, i) => Math.max(most, Math.abs(x - ours.data[i])), 0)
            expect(ours.shape).toEqual(theirs.shape)
            expect(apart / largest).toBeLessThan(5e-6) // float32, other batches
          }
        }
      }),
    )
  })
})

describe('an extraction whose process died while it made the collection', () => {
  it('makes it under the id that it had chosen, and leaves nothing half-made behind', async () => {
    const options = folders()
    const engine = start(options)
    const { handle } = await engine.call('model.open', input().model)
    const model = await engine.models.get(handle)
    const kind = extractJob({
      open: () => Promise.resolve(model),
      collections: engine.collections,
      store: () => engine.activations.store(),
      presetVectors: () => Promise.reject(new Error('There are no presets.')),
    })
    const folder = path.join(options.dataDir, 'jobs', 'died')
    const half = path.join(options.dataDir, 'collections', 'sentences-0123456789')
    mkdirSync(folder, { recursive: true })
    mkdirSync(half, { recursive: true })
    writeFileSync(
      path.join(folder, 'collection.json'),
      JSON.stringify({ version: 1, collection: path.basename(half) }),
    )
    writeFileSync(path.join(half, 'rows.jsonl'), '{"source":')
    const never = new AbortController().signal
    const outcome = await kind.run(extractInput.parse(input()), {
      folder,
      signal: never,
      pause: never,
      report: () => undefined,
    })
    if (outcome.kind !== 'done') throw new Error('It did not end.')
    expect(extractResult.parse(outcome.result)).toMatchObject({ collection: path.basename(half), rows: 4 })
    expect(await engine.call('collections.list', {})).toMatchObject([
      { id: path.basename(half), complete: true },
    ])
  })
})

describe('an extraction is refused before it runs', () => {
  const refused = async (changes: Partial<ExtractInput>): Promise<string> => {
    const { error, state } = await finished(start(), input(changes))
    expect(['failed', 'paused']).toContain(state)
    return `${error?.code}: ${error?.message}`
  }
  const { dataset } = input()

  it('for a data set without rows', async () => {
    expect(
      await refused({ dataset: { ...dataset, label: null, source: { kind: 'rows', rows: [] } } }),
    ).toMatch(/^input\.invalid: .*row/)
  })

  it('for a hook point that there is not', async () => {
    expect(await refused({ outputs: [{ hooks: ['blocks.*.hook_nothing'] }] })).toMatch(
      /^hook\.unknown: .*blocks\.0\.hook_nothing/,
    )
    expect(await refused({ outputs: [{ hooks: ['blocks.99.hook_resid_post'] }] })).toMatch(
      /^hook\.unavailable/,
    )
  })

  it('for spans that no row has', async () => {
    const outputs = [{ hooks: ['blocks.1.hook_resid_post'], positions: { kind: 'span' as const } }]
    expect(await refused({ outputs })).toMatch(/^input\.invalid: No row/)
  })

  it('where the store has no room for it, and goes on once it has', async () => {
    const engine = start()
    const store = await engine.activations.store()
    await store?.gc({ quota: 1000 })
    const job = await finished(engine, input())
    expect([job.state, job.error?.code]).toEqual(['paused', 'disk.full'])
    expect(job.error?.message).toMatch(/would take .* GB, but there is room for/)
    await store?.gc({ quota: 1e9 })
    await engine.call('jobs.resume', { id: job.id })
    expect((await engine.call('jobs.watch', { id: job.id })).state).toBe('done')
  })
})

it('is forecast without running anything: rows, tokens, bytes, and what is there already', async () => {
  const engine = start()
  const { handle } = await engine.call('model.open', { location: { kind: 'embedded' }, provider: 'cpu' })
  const given = input({ outputs: [{ hooks: ['blocks.*.hook_resid_post'] }] })
  const before = await engine.call('extraction.forecast', { ...given, handle })
  expect(before).toMatchObject({ rows: 4, failures: [], duplicates: 0, present: 0, mode: 'row-major' })
  expect(before.bytes).toBeGreaterThan(before.tokens * 4 * 128 * 2)
  const { tokens, bytes } = extractResult.parse((await finished(engine, given)).result)
  expect(tokens).toBe(before.tokens)
  expect(bytes).toBeLessThanOrEqual(before.bytes)
  expect(bytes).toBeGreaterThan(0.8 * before.bytes)
  expect(await engine.call('extraction.forecast', { ...given, handle })).toMatchObject({
    bytes: 0,
    present: 16,
  })
})
