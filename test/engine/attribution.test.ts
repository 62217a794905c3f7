/** Attribution through the engine's own calls, on storyworld and on an exported graph. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Engine } from '../../main/engine/engine'
import { calls, type CallInput, type CallName } from '../../preload/api'
import { attributionCalls } from '../../preload/attribution'
import { PatchbayError } from '../../preload/errors'
import { relativeError } from '../../main/analysis/parity/case'
import { failureOf } from '../models/scratch'
import { casesFolder } from '../support/cases'
import { exportFile } from '../support/exported-model'
import { flat } from '../support/use-exports'

let folder: string
let engine: Engine
let story: string
let exported: string
const clean = [5, 6, 7, 8, 9]
const corrupt = [5, 6, 17, 8, 9]
const metric = { kind: 'logit-difference', positive: 3, negative: 4 } as const

const all = ['resid_pre', 'attn_out', 'mlp_out', 'z', 'neurons'] as const
const open = async (location: CallInput<'model.open'>['location']): Promise<string> =>
  (await engine.call('model.open', { location, provider: 'cpu' })).handle

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'patchbay-attribution-'))
  engine = new Engine({
    dataDir: path.join(folder, 'data'),
    cacheDir: path.join(folder, 'cache'),
    assetsDir: path.join(import.meta.dirname, '../../assets'),
  })
  story = await open({ kind: 'embedded' })
  exported = await open({ kind: 'path', path: exportFile('llama-dynamo') })
})
afterAll(async () => {
  await engine.close()
  await rm(folder, { recursive: true, force: true })
})

const edge = { from: { kind: 'embed' }, to: { kind: 'logits' } } as const
type AttributionCall = keyof typeof attributionCalls
/** An input of each call, by model. */
const inputs: { [N in AttributionCall]: (model: string) => CallInput<N> } = {
  'attribution.direct': (model) => ({
    model,
    tokens: clean,
    positive: 3,
    negative: 4,
    neurons: { layer: 1 },
  }),
  'attribution.tokens': (model) => ({ model, tokens: clean, metric, steps: 4 }),
  'attribution.patching': (model) => ({ model, clean, corrupt, metric }),
  'attribution.patch': (model) => ({
    model,
    clean,
    corrupt,
    metric,
    places: [{ hook: 'blocks.1.hook_resid_pre', positions: [2] }],
  }),
  'attribution.edges': (model) => ({ model, clean, corrupt, metric, top: 5 }),
  'attribution.faithfulness': (model) => ({
    model,
    clean,
    corrupt,
    metric,
    circuits: [{ top: 5 }, { edges: [edge] }],
  }),
}
const names = Object.keys(attributionCalls) as AttributionCall[]

/** A call by a name that is only known at run time. */
function call<N extends CallName>(name: N, input: CallInput<N>, signal?: AbortSignal) {
  return engine.call(name, input, { signal })
}

describe('the attribution calls', () => {
  it.each(names)('%s answers with what the contract says, and with the request behind it', async (name) => {
    const result = await call(name, inputs[name](story))
    expect(calls[name].output.safeParse(result).error).toBeUndefined()
    expect(result.evidence.provenance).toMatchObject({ modelName: 'storyworld', provider: 'cpu' })
    expect(calls['run.execute'].input.safeParse({ request: result.evidence.request }).success).toBe(true)
  })

  it.each(names)('%s is cancelled', async (name) => {
    const controller = new AbortController()
    controller.abort(new PatchbayError('run.cancelled', 'Cancelled by the test.'))
    await expect(call(name, inputs[name](story), controller.signal)).rejects.toMatchObject({
      code: 'run.cancelled',
    })
  })

  it('refuses tokens outside the vocabulary in every call', async () => {
    const outside = { kind: 'logit', token: 99_999 } as const
    await expect(
      call('attribution.direct', { model: story, tokens: clean, positive: 99_999 }),
    ).rejects.toMatchObject({ field: 'metric' })
    await expect(
      call('attribution.tokens', { model: story, tokens: clean, metric: outside }),
    ).rejects.toThrow(/token 99999 is not in the vocabulary/)
    await expect(
      call('attribution.edges', { model: story, clean, corrupt, metric: outside }),
    ).rejects.toMatchObject({ field: 'metric' })
  })

  it.each(['attribution.direct', 'attribution.edges', 'attribution.faithfulness'] as const)(
    '%s refuses an exported graph in words',
    async (name) => {
      await expect(call(name, inputs[name](exported))).rejects.toMatchObject({
        code: 'model.unsupported',
        message: expect.stringContaining('came as an exported graph') as string,
      })
    },
  )

  it('attributes on an exported graph what it attributes on the checkpoint that it was made from', async () => {
    const checkpoint = await open({ kind: 'path', path: path.join(casesFolder, 'architectures/llama') })
    const close = (got: Float32Array | undefined, want: Float32Array | undefined): void => {
      const [a, b] = [got, want].map((data) => ({
        shape: [data?.length ?? 0],
        data: data ?? new Float32Array(0),
      }))
      expect(a.data.length).toBeGreaterThan(0)
      expect(relativeError(a, b)).toBeLessThan(2e-5)
    }
    for (const method of ['integrated-gradients', 'gradient-input'] as const)
      for (const baseline of [
        { kind: 'zero' },
        { kind: 'mean' },
        { kind: 'prompt', tokens: corrupt },
      ] as const) {
        const [mine, theirs] = await Promise.all(
          [exported, checkpoint].map((model) =>
            call('attribution.tokens', { ...inputs['attribution.tokens'](model), method, baseline }),
          ),
        )
        close(mine.scores, theirs.scores)
      }
    for (const direction of ['noising', 'denoising'] as const) {
      const [mine, theirs] = await Promise.all(
        [exported, checkpoint].map((model) =>
          call('attribution.patching', {
            ...inputs['attribution.patching'](model),
            direction,
            sites: [...all],
          }),
        ),
      )
      for (const map of ['residPre', 'attnOut', 'mlpOut', 'heads'] as const)
        close(mine[map]?.effect.data, theirs[map]?.effect.data)
      expect(mine.neurons?.map(({ layer, neuron }) => [layer, neuron])).toEqual(
        theirs.neurons?.map(({ layer, neuron }) => [layer, neuron]),
      )
      expect(mine.notes).toEqual([])
    }
  })

  it('says what it needs of a graph in which no blocks were recognised', async () => {
    const file = path.join(folder, 'flat.onnx')
    await writeFile(file, flat(['batch', 'pos']))
    const model = await open({ kind: 'path', path: file })
    const ids = { tokens: [1, 2], clean: [1, 2], corrupt: [1, 3] }
    for (const name of ['attribution.tokens', 'attribution.patching'] as const) {
      const failed = await failureOf(() => call(name, { ...inputs[name](model), ...ids }))
      expect(failed.message).toContain('No blocks were recognised in')
      expect(failed.next).toContain('value:')
    }
  })

  it('patches an exported graph for real where it has the hook point', async () => {
    const { places, ends } = await call('attribution.patch', inputs['attribution.patch'](exported))
    expect(places[0].effect).not.toBe(0)
    expect(ends.problem).toBeNull()
  })
})
