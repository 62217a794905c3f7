import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { relativeError } from '../../main/analysis/parity/case'
import { readSpec } from '../../main/models/architectures/registry'
import { openCheckpoint, type Checkpoint } from '../../main/models/formats/checkpoint'
import type { TransformerSpec } from '../../main/models/spec'
import type { ForwardResult } from '../../main/runtime/forward'
import { allFused } from '../../main/runtime/graph/context'
import { placeWeights, type PlacedWeights } from '../../main/runtime/placement'
import { BlockStack } from '../../main/runtime/stack'
import { WholeModel } from '../../main/runtime/whole'
import type { Tensor } from '../../preload/tensor'

const location = path.join(import.meta.dirname, '../reference/cases/architectures/mistral_sliding')
const tokens = [5, 17, 99, 23, 42, 7, 88, 3, 61, 30]
const TOLERANCE = 5e-6

let checkpoint: Checkpoint
let spec: TransformerSpec
let weights: PlacedWeights
let stack: BlockStack
const made: BlockStack[] = []

function newStack(variantBytes?: number): BlockStack {
  const fresh = new BlockStack({ spec, weights, provider: 'cpu', lowering: allFused, variantBytes })
  made.push(fresh)
  return fresh
}

beforeAll(async () => {
  checkpoint = await openCheckpoint(location)
  spec = await readSpec(checkpoint)
  weights = await placeWeights({ checkpoint, spec, fingerprint: 'f', cacheDir: 'unused' })
  stack = newStack()
})
afterAll(async () => {
  for (const each of made) await each.release()
  await checkpoint.close()
})

const logitsOf = ({ logits }: ForwardResult): Tensor => {
  if (logits === null) throw new Error('no logits')
  return logits
}
const expectClose = (got: Tensor, want: Tensor): void =>
  expect(relativeError(got, want)).toBeLessThan(TOLERANCE)

describe('the block stack', () => {
  it('gives the numbers of the whole model in one graph, token by token too', async () => {
    const whole = await WholeModel.create(spec, weights, 'cpu', allFused)
    const want = { shape: [spec.vocab], data: await whole.feed(tokens, false) }
    expectClose(
      logitsOf(await stack.forward({ start: { kind: 'tokens', rows: [tokens] }, logits: 'last' })),
      want,
    )
    await whole.feed(tokens.slice(0, 4), true)
    for (const token of tokens.slice(4, -1)) await whole.feed([token], true)
    expectClose({ shape: [spec.vocab], data: await whole.feed(tokens.slice(-1), true) }, want)
    await whole.release()
  })

  it('goes on from a cache in pieces of any length', async () => {
    const whole = await stack.forward({ start: { kind: 'tokens', rows: [tokens] }, logits: 'all' })
    const first = await stack.forward({
      start: { kind: 'tokens', rows: [tokens.slice(0, 3)] },
      keepCache: true,
    })
    const second = await stack.forward({
      start: { kind: 'tokens', rows: [tokens.slice(3, 8)] },
      cache: first.cache ?? undefined,
      keepCache: true,
    })
    const third = await stack.forward({
      start: { kind: 'tokens', rows: [tokens.slice(8)] },
      cache: second.cache ?? undefined,
      logits: 'all',
    })
    const tail = logitsOf(whole).data.subarray(8 * spec.vocab)
    expectClose(logitsOf(third), { shape: [], data: tail })
    expect(second.cache?.lengths()).toEqual([8])
  })

  it('recomputes only the positions after a place, from a base run’s residual and cache before it', async () => {
    const layer = 1
    const place = 6
    const hook = `blocks.${layer}.hook_resid_pre`
    const base = await stack.forward({
      start: { kind: 'tokens', rows: [tokens] },
      captures: [hook],
      keepCache: true,
      logits: 'last',
    })
    const residual = base.captures.get(hook)
    if (residual === undefined || base.cache === null) throw new Error('nothing kept')
    const suffix = residual.data.slice(place * spec.dModel)
    const rows = [0, 1, 2]
    const wave = await stack.forward({
      start: {
        kind: 'residual',
        layer,
        residual: {
          shape: [rows.length, tokens.length - place, spec.dModel],
          data: Float32Array.from(
            { length: rows.length * suffix.length },
            (_, i) => suffix[i % suffix.length],
          ),
        },
        lengths: rows.map(() => tokens.length - place),
      },
      cache: base.cache.prefix(place).select(rows.map(() => 0)),
      logits: 'last',
    })
    for (const row of rows)
      expectClose(
        { shape: [], data: logitsOf(wave).data.subarray(row * spec.vocab, (row + 1) * spec.vocab) },
        logitsOf(base),
      )
  })

  it('unembeds residual rows as the model does', async () => {
    const { residual, logits } = await stack.forward({
      start: { kind: 'tokens', rows: [tokens] },
      logits: 'all',
    })
    const rows = await stack.unembed({ shape: [tokens.length, spec.dModel], data: residual.data })
    expect(rows.shape).toEqual([tokens.length, spec.vocab])
    expectClose(rows, logits ?? rows)
  })

  it('keeps cached rows in the order asked for, with their gaps', async () => {
    const rows = [tokens, tokens.slice(0, 4)]
    const { cache } = await stack.forward({ start: { kind: 'tokens', rows }, keepCache: true })
    const swapped = cache?.select([1, 0, 1])
    expect(swapped?.lengths()).toEqual([4, 10, 4])
    const next = await stack.forward({
      start: { kind: 'tokens', rows: [[9], [9], [9]] },
      cache: swapped,
      logits: 'last',
    })
    const single = await stack.forward({
      start: { kind: 'tokens', rows: [[...tokens.slice(0, 4), 9]] },
      logits: 'last',
    })
    for (const row of [0, 2])
      expectClose(
        { shape: [], data: logitsOf(next).data.subarray(row * spec.vocab, (row + 1) * spec.vocab) },
        logitsOf(single),
      )
  })

  it('stops between blocks when it is cancelled, and runs again afterwards', async () => {
    const controller = new AbortController()
    const done: number[] = []
    const pending = stack.forward({
      start: { kind: 'tokens', rows: [tokens] },
      signal: controller.signal,
      onProgress: (blocks) => {
        done.push(blocks)
        controller.abort()
      },
    })
    await expect(pending).rejects.toMatchObject({ code: 'run.cancelled' })
    expect(done).toEqual([1])
    await expect(
      stack.forward({ start: { kind: 'tokens', rows: [tokens] }, logits: 'last' }),
    ).resolves.toBeDefined()
  })

  it('lets the event loop turn between blocks', async () => {
    let turns = 0
    const count = (): void => {
      turns++
      pendingTurn = setImmediate(count)
    }
    let pendingTurn = setImmediate(count)
    await stack.forward({ start: { kind: 'tokens', rows: [tokens] } })
    clearImmediate(pendingTurn)
    expect(turns).toBeGreaterThanOrEqual(spec.blocks.length)
  })

  it('says which hook point a partial run does not compute', async () => {
    const residual = { shape: [1, 1, spec.dModel], data: new Float32Array(spec.dModel) }
    const start = { kind: 'residual', layer: 1, residual, lengths: [1] } as const
    for (const name of ['blocks.0.hook_mlp_out', 'hook_embed'])
      await expect(stack.forward({ start, captures: [name] })).rejects.toMatchObject({
        code: 'hook.unavailable',
        field: name,
      })
    await expect(stack.forward({ start, stopLayer: 0 })).rejects.toMatchObject({ code: 'input.invalid' })
  })
})

describe('compiled variants', () => {
  const ported = (hook: string, width: number) =>
    new Map([[hook, [{ kind: 'affine' as const, keep: ones(width), value: ones(width) }]]])
  const ones = (width: number): Tensor => ({ shape: [1, 1, width], data: new Float32Array(width).fill(1) })

  it('are compiled once, and captures need none', async () => {
    const own = newStack()
    await own.compile()
    const plain = own.sessions
    expect(plain).toBe(spec.blocks.length + 2)
    const start = { kind: 'tokens', rows: [tokens] } as const
    const hooks = ['hook_attn_out', 'attn.hook_z', 'mlp.hook_post'].map((site) => `blocks.0.${site}`)
    await own.forward({ start, captures: hooks })
    expect(own.sessions).toBe(plain)
    await own.forward({ start, ports: ported('blocks.0.hook_mlp_out', spec.dModel) })
    await own.forward({ start, ports: ported('blocks.0.hook_mlp_out', spec.dModel) })
    expect(own.sessions).toBe(plain + 1)
  })

  it('that were used longest ago are released when they take too much memory', async () => {
    const own = newStack(1)
    await own.compile()
    const plain = own.sessions
    const start = { kind: 'tokens', rows: [tokens] } as const
    const logits: Tensor[] = []
    for (const hook of ['hook_mlp_out', 'hook_attn_out', 'hook_mlp_out'])
      logits.push(
        logitsOf(
          await own.forward({ start, ports: ported(`blocks.1.${hook}`, spec.dModel), logits: 'last' }),
        ),
      )
    expect(own.sessions).toBe(plain)
    expectClose(logits[2], logits[0])
    expect(relativeError(logits[1], logits[0])).toBeGreaterThan(1e-3)
  })

  it('run after release is refused', async () => {
    const own = newStack()
    await own.forward({ start: { kind: 'tokens', rows: [tokens] } })
    await own.release()
    await expect(own.forward({ start: { kind: 'tokens', rows: [tokens] } })).rejects.toMatchObject({
      code: 'model.not-open',
    })
    expect(own.sessions).toBe(0)
  })
})
