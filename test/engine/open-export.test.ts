/** ONNX files that somebody else exported, through the engine's own calls: looked at, opened, refused. */
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Engine } from '../../main/engine/engine'
import { argmax } from '../../main/runtime/distribution'
import { calls, type CallInput } from '../../preload/api'
import { casesFolder } from '../support/cases'
import { modelBytes, node, smallGraph, value } from '../support/onnx-model'
import { flat } from '../support/use-exports'
import { failureOf } from '../models/scratch'

const exportsFolder = path.join(casesFolder, 'onnx-exports')
const llama = path.join(casesFolder, 'architectures/llama')
const assetsDir = path.join(import.meta.dirname, '../../assets')
const tokens = [5, 6, 7, 8]

let folder: string
let engine: Engine

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'patchbay-open-export-'))
  engine = new Engine({ dataDir: path.join(folder, 'data'), cacheDir: path.join(folder, 'cache'), assetsDir })
})
afterAll(async () => {
  await engine.close()
  await rm(folder, { recursive: true, force: true })
})

type Source = Partial<CallInput<'model.open'>>

const open = (place: string, source: Source = {}) =>
  engine.call('model.open', { location: { kind: 'path', path: place }, provider: 'cpu', ...source })
const inspect = (place: string) => engine.call('model.inspect', { path: place })
const write = async (name: string, bytes: Uint8Array | string): Promise<string> => {
  const file = path.join(folder, name)
  await mkdir(path.dirname(file), { recursive: true })
  await writeFile(file, bytes)
  return file
}
const caseFile = (name: string): string => path.join(exportsFolder, name, 'model.onnx')

describe('a path', () => {
  it('of an export is looked at without running anything of it', async () => {
    const report = calls['model.inspect'].output.parse(await inspect(caseFile('llama-optimum-past')))
    expect(report).toMatchObject({
      decoder: { layers: 2, dModel: 32, heads: 4, kvHeads: 2 },
      whole: null,
      generation: 'cache',
      missing: [],
    })
    expect(report?.hooks.map(({ hook }) => hook)).toContain('blocks.1.attn.hook_pattern')
    expect(engine.models.handles()).toEqual([])
  })

  it('of another kind of model is none', async () => {
    expect(await inspect(llama)).toBeNull()
    expect(await inspect(path.join(llama, 'model.safetensors'))).toBeNull()
  })

  it('where there is nothing is an error', async () => {
    await expect(inspect(path.join(folder, 'gone.onnx'))).rejects.toMatchObject({ code: 'file.missing' })
  })
})

describe('an open export', () => {
  it('computes what the checkpoint computes that it was made from', async () => {
    const exported = await open(path.join(exportsFolder, 'llama-optimum'))
    const own = await open(llama)
    expect(exported).toMatchObject({ name: 'llama-optimum', format: 'onnx', layers: 2, provider: 'cpu' })
    const [ours, theirs] = await Promise.all(
      [exported, own].map(({ handle }) => engine.call('lens.map', { model: handle, tokens })),
    )
    expect(theirs.points).toEqual(ours.points)
    expect(theirs.topIds).toEqual(ours.topIds)
    const patterns = await Promise.all(
      [exported, own].map(({ handle }) => engine.call('attention.overview', { model: handle, tokens })),
    )
    patterns[0].toPrevious.data.forEach((score, head) =>
      expect(score).toBeCloseTo(patterns[1].toPrevious.data[head], 5),
    )
  })

  it('takes configuration and tokenizer from beside it, or from around a folder onnx', async () => {
    const storyworld = path.join(assetsDir, 'models/storyworld')
    for (const place of ['beside', 'around/onnx']) {
      const at = path.join(folder, place)
      const companions = path.join(folder, place.split('/')[0])
      await mkdir(at, { recursive: true })
      await copyFile(caseFile('llama-optimum'), path.join(at, 'model.onnx'))
      await copyFile(path.join(llama, 'config.json'), path.join(companions, 'config.json'))
      await copyFile(path.join(storyworld, 'tokenizer.json'), path.join(companions, 'tokenizer.json'))
      for (const named of [companions, path.join(at, 'model.onnx')]) {
        const model = await open(named)
        expect(model).toMatchObject({ name: path.basename(companions), family: 'llama', contextLength: 64 })
        const prompt = { kind: 'text', text: 'Once upon' } as const
        const encoded = await engine.call('prompt.encode', { model: model.handle, prompt })
        expect(encoded.tokens.map(({ text }) => text).join('')).toBe('Once upon')
        await engine.call('model.close', { model: model.handle })
      }
    }
  })

  it('reads tokens as numbers where no tokenizer is there', async () => {
    const { handle } = await open(caseFile('gpt2-dynamo'))
    const { tokens: read } = await engine.call('prompt.encode', {
      model: handle,
      prompt: { kind: 'text', text: '5 6 7' },
    })
    expect(read.map(({ id }) => id)).toEqual([5, 6, 7])
  })

  it('gives any value by its own name, however long', async () => {
    const long = `layer/${'scope/'.repeat(60)}tanh`
    const graph = {
      node: [
        node('Gather', ['table', 'ids'], ['e']),
        node('Tanh', ['e'], [long]),
        node('MatMul', [long, 'head'], ['logits']),
      ],
      initializer: flatWeights(),
      input: [value('ids', ['b', 's'], 7)],
      output: [value('logits', ['b', 's', 9])],
    }
    const { fingerprint } = await open(await write('long/model.onnx', modelBytes(graph)))
    const hook = `value:${long}`
    const request = { model: fingerprint, rows: [[1, 2]], captures: [hook] }
    const { captures, logits } = await engine.call('run.execute', { request })
    expect(captures[hook].shape).toEqual([1, 2, 4])
    const off = { hook, operation: { kind: 'scale', factor: 0 } } as const
    const silenced = await engine.call('run.execute', { request: { ...request, interventions: [off] } })
    expect(silenced.logits?.data.every((x) => x === 0)).toBe(true)
    expect(logits?.data.every((x) => x === 0)).toBe(false)
  })

  it('checks itself, and says that it was not compiled a second time', async () => {
    const { handle } = await open(caseFile('qwen2-optimum-past'))
    const made = await engine.call('certificate.make', { model: handle })
    expect(made).toMatchObject({ passed: true, source: { kind: 'self-check' } })
    expect(made.notes.join()).toMatch(/exported by somebody else/)
    const reference = path.join(exportsFolder, 'qwen2-optimum-past')
    expect(await engine.call('certificate.make', { model: handle, reference })).toMatchObject({
      passed: true,
      source: { kind: 'reference' },
    })
    await expect(engine.call('certificate.script', { model: handle })).rejects.toMatchObject({
      code: 'model.unsupported',
    })
  })
})

describe('a graph without a recognised residual stream', () => {
  const openFlat = async () => open(await write('flat/model.onnx', flat(['b', 's'])))

  it('gives its next tokens and generates', async () => {
    const { handle, fingerprint, layers } = await openFlat()
    expect(layers).toBe(0)
    const request = { model: fingerprint, rows: [[1, 2]] }
    const { logits } = await engine.call('run.execute', { request })
    const best = argmax(logits?.data ?? new Float32Array(1))
    const next = await engine.call('logits.next', { model: handle, tokens: [1, 2, 3], position: 1, count: 4 })
    expect(next.top).toHaveLength(4)
    expect(next.top[0]).toMatchObject({ id: best, logit: logits?.data[best] })
    expect(next.evidence.request.rows).toEqual([[1, 2]])
    const { rows } = await engine.call('generate.execute', {
      request: { model: fingerprint, rows: [{ tokens: [1, 2] }], maxTokens: 2 },
    })
    expect(rows[0].tokens[0]).toBe(best)
  })

  it('says of every view into its layers that it has none, and what can be done', async () => {
    const { handle: model } = await openFlat()
    const asked = [
      () => engine.call('lens.map', { model, tokens }),
      () => engine.call('lens.cell', { model, tokens, point: 0, position: 0 }),
      () => engine.call('attention.layer', { model, tokens, layer: 0 }),
      () => engine.call('attention.overview', { model, tokens }),
      () => engine.call('compare.prompts', { model, left: tokens, right: [1, 2] }),
      () => engine.call('compare.attention', { model, left: tokens, right: [1, 2], layer: 0 }),
    ]
    for (const ask of asked) {
      const error = await failureOf(ask)
      expect(error.code).toBe('hook.unavailable')
      expect(error.next).toMatch(/value:NAME/)
    }
    const view = () => engine.call('activation.view', { model, tokens, hook: 'blocks.0.hook_resid_pre' })
    expect((await failureOf(view)).code).toBe('hook.unavailable')
  })
})

describe('a hook point that was not recognised', () => {
  it('is refused with the reason and the way around', async () => {
    const { fingerprint } = await open(caseFile('gpt2-dynamo'))
    const request = { model: fingerprint, rows: [tokens], captures: ['blocks.0.ln1.hook_scale'] }
    const error = await failureOf(() => engine.call('run.execute', { request }))
    expect(error).toMatchObject({ code: 'hook.unavailable', field: 'blocks.0.ln1.hook_scale' })
    expect(error.next).toMatch(/value:NAME/)
  })
})

describe('what can not be opened', () => {
  /** Stages of an opening that fails. */
  async function stagesOf(location: string, source: Source = {}) {
    const stages = new Set<string>()
    const error = await failureOf(() =>
      engine.call(
        'model.open',
        { location: { kind: 'path', path: location }, provider: 'cpu', ...source },
        { onProgress: ({ stage }) => stages.add(stage) },
      ),
    )
    return { error, stages: [...stages] }
  }

  it('in another precision, or under a memory budget, is said before anything is read', async () => {
    const place = caseFile('llama-optimum')
    for (const [source, field] of [
      [{ precision: 'quantised' }, 'precision'],
      [{ memoryBudget: 2 ** 30 }, 'memoryBudget'],
    ] as const) {
      const { error, stages } = await stagesOf(place, source)
      expect(error).toMatchObject({ code: 'model.unsupported', field })
      expect(error.next).toBeDefined()
      expect(stages).toEqual(['reading'])
    }
  })

  it('because it is no language model, or of an unknown family, is refused before its weights are hashed', async () => {
    const graph = await write('small/model.onnx', modelBytes(smallGraph()))
    await write('mamba/config.json', '{"model_type": "mamba", "architectures": ["MambaForCausalLM"]}')
    await copyFile(path.join(llama, 'model.safetensors'), path.join(folder, 'mamba/model.safetensors'))
    const refused = await stagesOf(graph)
    expect(refused.error.code).toBe('model.unsupported')
    expect(await failureOf(() => inspect(graph))).toMatchObject({ code: 'model.unsupported', file: graph })
    const unknown = await stagesOf(path.join(folder, 'mamba'))
    expect(unknown.error.code).toBe('model.unknown-architecture')
    expect([refused.stages, unknown.stages]).toEqual([['reading'], ['reading']])
  })

  it('because it is broken or means harm is a typed error, and the engine goes on', async () => {
    const bytes = modelBytes(smallGraph())
    const circle = { ...smallGraph(), node: [node('Neg', ['c'], ['y']), node('Neg', ['y'], ['c'])] }
    const hostile = {
      '\u202Ename<img>': bytes.subarray(0, bytes.length - 5),
      circle: modelBytes(circle),
      empty: '',
    }
    for (const [name, content] of Object.entries(hostile)) {
      const file = await write(`${name}.onnx`, content)
      for (const ask of [() => inspect(file), () => open(file)])
        expect(await failureOf(ask)).toMatchObject({ code: 'file.malformed', file })
    }
    expect((await engine.call('engine.status', {})).pid).toBe(process.pid)
    expect(await open(caseFile('gpt2-optimum'))).toMatchObject({ format: 'onnx' })
  })
})

/** Table and head of a vocabulary of 9, in 4 dimensions. */
const flatWeights = () =>
  [
    { name: 'table', dims: [9, 4], wave: Math.sin },
    { name: 'head', dims: [4, 9], wave: Math.cos },
  ].map(({ name, dims, wave }) => ({
    name,
    dims: dims.map(BigInt),
    dataType: 1,
    floatData: Array.from({ length: 36 }, (_, i) => wave(i)),
  }))
