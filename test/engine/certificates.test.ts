/** Certificates of storyworld through the engine's own calls, on the CPU. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Engine } from '../../main/engine/engine'
import { decodeSafetensors, encodeSafetensors } from '../../main/models/formats/safetensors'
import { calls } from '../../preload/api'
import { certificate as certificateSchema, certificateText, exactGroups } from '../../preload/certificate'
import { casesFolder } from '../support/cases'

let folder: string
let engine: Engine
const assetsDir = path.join(import.meta.dirname, '../../assets')
const llama = path.join(casesFolder, 'architectures/llama')

const start = (): Engine =>
  new Engine({ dataDir: path.join(folder, 'data'), cacheDir: path.join(folder, 'cache'), assetsDir })
const openStoryworld = async (): Promise<string> =>
  (await engine.call('model.open', { location: { kind: 'embedded' }, provider: 'cpu' })).handle
const openLlama = async (): Promise<string> =>
  (await engine.call('model.open', { location: { kind: 'path', path: llama }, provider: 'cpu' })).handle

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'patchbay-certificates-'))
  engine = start()
})
afterAll(async () => {
  await engine.close()
  await rm(folder, { recursive: true, force: true })
})

const lensOf = async (model: string) => (await engine.call('lens.map', { model, tokens: [5, 6, 7] })).evidence

describe('an open model', () => {
  it('is not certified at first, and its results and exports say so', async () => {
    const model = await openStoryworld()
    expect(await engine.call('certificate.get', { model })).toEqual({
      certificates: [],
      summary: null,
      warnings: [],
    })
    expect((await lensOf(model)).provenance.certificate).toBeNull()
    const { bytes } = await engine.call('activation.export', {
      model,
      tokens: [5, 6],
      hook: 'blocks.0.hook_resid_pre',
      format: 'csv',
    })
    expect(new TextDecoder().decode(bytes)).toContain('float32 on cpu (not certified)')
  })

  it('agrees with itself on every way, and results, exports and the library then say so', async () => {
    const model = await openStoryworld()
    const before = await lensOf(model)
    const progress: number[] = []
    const made = await engine.call(
      'certificate.make',
      { model },
      { onProgress: ({ done, total }) => progress.push(done / total) },
    )
    expect(certificateSchema.parse(made)).toEqual(made)
    expect(made).toMatchObject({ passed: true, provider: 'cpu', source: { kind: 'self-check' }, notes: [] })
    expect(made.groups.map(({ group }) => group)).toEqual(['batched', 'cached', 'whole graph'])
    expect(progress.at(-1)).toBe(1)

    const { certificates, summary } = await engine.call('certificate.get', { model })
    expect(certificates).toEqual([made])
    expect(summary).toMatchObject({ source: 'self-check', passed: true, date: made.date })
    const after = await lensOf(model)
    expect(after.provenance.certificate).toEqual(summary)
    expect(after.provenance.requestHash).toBe(before.provenance.requestHash)

    const { bytes } = await engine.call('activation.export', {
      model,
      tokens: [5, 6],
      hook: 'blocks.0.hook_resid_pre',
      format: 'safetensors',
    })
    const { metadata } = decodeSafetensors(bytes)
    expect(metadata.get('parity')).toBe(certificateText(summary))
    expect(JSON.parse(metadata.get('certificate') ?? '')).toEqual(summary)

    const [entry] = calls['library.list'].output.parse(await engine.call('library.list', {}))
    expect(entry.certificates).toEqual([{ ...summary, provider: 'cpu', precision: 'float32' }])
  })

  it('is still certified after a restart', async () => {
    await engine.close()
    engine = start()
    expect((await lensOf(await openStoryworld())).provenance.certificate).toMatchObject({
      source: 'self-check',
    })
  })

  it('offers a program that is made for it', async () => {
    const model = await openStoryworld()
    const { name, text } = await engine.call('certificate.script', { model })
    const { fingerprint } = await engine.call('model.describe', { model })
    expect(name).toBe('storyworld-reference.py')
    expect(text).toContain(`MADE_FOR = "${fingerprint}"`)
    expect(text).toContain(`MODEL = ${JSON.stringify(path.join(assetsDir, 'models', 'storyworld'))}`)
  })
})

describe('a reference', () => {
  it('is compared group by group, and counts before self-checks', async () => {
    const model = await openLlama()
    const made = await engine.call('certificate.make', { model, reference: llama })
    expect(made).toMatchObject({
      passed: true,
      source: { kind: 'reference', name: 'llama', computedIn: 'float64' },
    })
    const groups = [
      'logits',
      'activations',
      'patterns',
      'steered',
      'patched',
      'ablated',
      'gradients',
      'generation',
    ]
    expect(made.groups.map(({ group }) => group)).toEqual(groups)
    for (const { group, worst, tolerance } of made.groups) {
      const allowed = exactGroups.has(group) ? 0 : group === 'gradients' ? 5e-4 : 1e-4
      expect([group, worst, tolerance]).toEqual([group, expect.any(Number), allowed])
    }

    await engine.call('certificate.make', { model })
    const { summary, certificates } = await engine.call('certificate.get', { model })
    expect(certificates).toHaveLength(2)
    expect(summary?.source).toBe('reference')
  })

  it('may be named by one of its files', async () => {
    const model = await openLlama()
    for (const file of ['reference.json', 'reference.safetensors'])
      expect(
        await engine.call('certificate.make', { model, reference: path.join(llama, file) }),
      ).toMatchObject({ source: { name: 'llama' }, passed: true })
  })

  it('may be tensors alone, and one that is off makes a certificate that fails', async () => {
    const model = await openLlama()
    const rows = [[1, 2, 3, 4]]
    const { fingerprint } = await engine.call('model.describe', { model })
    const { logits } = await engine.call('run.execute', {
      model,
      request: { model: fingerprint, rows, logits: 'all' },
    })
    if (logits === null) throw new Error('no logits')
    const file = path.join(folder, 'mine.safetensors')
    const ids = { name: 'input_ids', shape: [1, 4], data: BigInt64Array.from(rows[0], BigInt) }
    const write = (change: number): Promise<void> =>
      writeFile(
        file,
        encodeSafetensors(
          [
            ids,
            {
              name: 'logits',
              shape: logits.shape,
              data: logits.data.map((x, i) => (i === 7 ? x + change : x)),
            },
          ],
          {},
        ),
      )
    await write(0)
    expect(await engine.call('certificate.make', { model, reference: file })).toMatchObject({
      passed: true,
      source: { name: 'mine.safetensors', computedIn: null },
      groups: [{ group: 'logits', worst: 0 }],
    })
    await write(1)
    expect(await engine.call('certificate.make', { model, reference: file })).toMatchObject({
      passed: false,
      groups: [{ group: 'logits', passed: false, worstTensor: 'logits' }],
    })
    const { summary } = await engine.call('certificate.get', { model })
    expect(certificateText(summary)).toMatch(/^parity failed, \d/)
  })

  it('of another model is refused before anything is stored', async () => {
    const model = await openStoryworld()
    await expect(engine.call('certificate.make', { model, reference: llama })).rejects.toMatchObject({
      code: 'model.mismatch',
      message: 'The reference "llama" is of a model with 2 layers, but storyworld has 4.',
    })
    const { certificates } = await engine.call('certificate.get', { model })
    expect(certificates.map(({ source }) => source.kind)).toEqual(['self-check'])
  })

  it('that is not there, or is none, is an error that names the file', async () => {
    const model = await openStoryworld()
    const broken = path.join(folder, 'reference.json')
    await writeFile(broken, '{"name": ')
    await expect(
      engine.call('certificate.make', { model, reference: '/nowhere/at/all' }),
    ).rejects.toMatchObject({
      code: 'file.missing',
    })
    await expect(engine.call('certificate.make', { model, reference: folder })).rejects.toMatchObject({
      code: 'file.malformed',
      file: broken,
    })
  })

  it('is left when the person cancels', async () => {
    const model = await openLlama()
    const controller = new AbortController()
    const making = engine.call(
      'certificate.make',
      { model },
      {
        signal: controller.signal,
        onProgress: ({ done }) => {
          if (done === 2) controller.abort()
        },
      },
    )
    await expect(making).rejects.toMatchObject({ code: 'run.cancelled' })
  })
})
