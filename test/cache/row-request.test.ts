import { describe, expect, it } from 'vitest'
import { rowKey, rowRequest, rowRequests } from '../../main/cache/row-request'
import { runRequest, type RunInput, type RunRequestInput } from '../../preload/run'

const identity = { precision: 'float32', provider: 'cpu' } as const
const vector = { shape: [2], data: Float32Array.of(1, 2) }

const input = (request: Partial<RunRequestInput>, tensors: RunInput['tensors'] = {}): RunInput => ({
  request: runRequest.parse({ model: 'f'.repeat(64), rows: [[1, 2, 3]], ...request }),
  tensors,
})
const keys = (given: RunInput, of: Parameters<typeof rowRequests>[0] = identity): string[] =>
  rowRequests(of, given).map(rowKey)

describe('the request of a row', () => {
  it('is the same alone and in any batch, and whatever is returned', () => {
    const [alone] = keys(input({}))
    expect(keys(input({ rows: [[9], [1, 2, 3], [4, 5]] }))[1]).toBe(alone)
    expect(keys(input({ captures: ['hook_embed'], logits: 'all' }))[0]).toBe(alone)
    expect(keys(input({ stopLayer: 1, logits: 'none' }))[0]).toBe(alone)
  })

  it('is another one for another model, precision, provider or prompt', () => {
    const all = [
      ...keys(input({})),
      ...keys(input({ model: 'e'.repeat(64) })),
      ...keys(input({}), { ...identity, provider: 'webgpu' }),
      ...keys(input({}), { ...identity, precision: 'quantised' }),
      ...keys(input({ rows: [[1, 2]] })),
    ]
    expect(new Set(all).size).toBe(all.length)
  })

  it('holds the interventions that touch the row, their tensors by content and not by name', () => {
    const add = (rows: 'all' | number[], value: string, hook = 'blocks.0.hook_resid_pre') => ({
      hook,
      rows,
      operation: { kind: 'add' as const, value },
    })
    const two = {
      rows: [
        [1, 2, 3],
        [1, 2, 3],
      ],
    }
    const [first, second] = keys(input({ ...two, interventions: [add([0], 'v')] }, { v: vector }))
    expect(second).toBe(keys(input({}))[0])
    expect(first).not.toBe(second)
    expect(
      keys(
        input(
          { interventions: [add('all', 'another name', 'blocks.0.hook_in')] },
          { 'another name': vector },
        ),
      ),
    ).toEqual([first])
    const other = { shape: [2], data: Float32Array.of(1, 3) }
    expect(keys(input({ interventions: [add('all', 'v')] }, { v: other }))).not.toEqual([first])
    expect(() => keys(input({ interventions: [add('all', 'v')] }))).toThrowError(/"v"/)
  })

  it('holds the part of a residual stream that the row starts from', () => {
    const residual = { shape: [2, 3, 2], data: Float32Array.from({ length: 12 }, (_, i) => i) }
    const batch = input({ rows: [[1, 2, 3], [4]], start: { layer: 1, residual: 'r' } }, { r: residual })
    const alone = input(
      { rows: [[4]], start: { layer: 1, residual: 'x' } },
      { x: { shape: [1, 1, 2], data: residual.data.slice(6, 8) } },
    )
    expect(keys(batch)[1]).toBe(keys(alone)[0])
    expect(keys(batch)[1]).not.toBe(keys(input({ rows: [[4]] }))[0])
  })

  it('passes its own schema, which refuses anything else', () => {
    const [row] = rowRequests(
      identity,
      input({
        interventions: [{ hook: 'hook_embed', positions: [0], operation: { kind: 'scale', factor: 0 } }],
      }),
    )
    expect(rowRequest.parse(JSON.parse(JSON.stringify(row)))).toEqual(row)
    expect(rowRequest.safeParse({ ...row, more: 1 }).success).toBe(false)
  })

  it('says everything that a forward pass depends on: a new field of requests has to be decided about', () => {
    // captures, logits, stopLayer and backward say what is returned; all others are in the row's request.
    expect(Object.keys(runRequest.shape).sort()).toEqual([
      'backward',
      'captures',
      'interventions',
      'logits',
      'model',
      'rows',
      'start',
      'stopLayer',
      'version',
    ])
  })
})
