import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { backwardKey, canonicalHook, passKey, requestHash, tensorHash } from '../../main/cache/key'
import { runRequest, type RunInput, type RunRequestInput } from '../../preload/run'

const model = 'f'.repeat(64)
const input = (request: Partial<RunRequestInput>, tensors: RunInput['tensors'] = {}): RunInput => ({
  request: runRequest.parse({ model, rows: [[1, 2, 3]], ...request }),
  tensors,
})
const vector = (...values: number[]) => ({ shape: [values.length], data: Float32Array.from(values) })
const steered = (hook: string, tensor = 'v') => ({ hook, operation: { kind: 'add', value: tensor } }) as const

describe('tensorHash', () => {
  it('is the sha256 of type, shape and little-endian bytes', () => {
    // printf 'float32 [1]\n\0\0\x80\x3f' | sha256sum
    expect(tensorHash(vector(1))).toBe('20068bc25db63635d5a9e081939859b95f5030a6817f89b4b8d33f82d17a7757')
  })

  it('tells shapes apart that hold the same numbers', () => {
    const data = Float32Array.of(1, 2, 3, 4)
    expect(tensorHash({ shape: [2, 2], data })).not.toBe(tensorHash({ shape: [4], data }))
  })

  it('hashes a view by what it shows, not by the buffer behind it', () => {
    const whole = Float32Array.of(9, 1, 2, 9)
    expect(tensorHash({ shape: [2], data: whole.subarray(1, 3) })).toBe(tensorHash(vector(1, 2)))
  })
})

describe('backwardKey', () => {
  const metric = (direction: string, hook = 'blocks.1.hook_resid_pre') =>
    ({ kind: 'projection', hook, direction }) as const
  const keyOf = (one: ReturnType<typeof metric>, tensors: RunInput['tensors'], hooks: string[] = []) => {
    const run = input({ backward: { metric: one, hooks } }, tensors)
    if (run.request.backward === undefined) throw new Error('nothing to differentiate')
    return backwardKey('pass', run.request.backward, run)
  }

  it('is of the metric with the numbers of its tensors, whatever gradients are wanted', () => {
    const key = keyOf(metric('d'), { d: vector(1, 2) })
    expect(keyOf(metric('d', 'blocks.1.hook_in'), { d: vector(1, 2) }, ['hook_embed'])).toBe(key)
    expect(keyOf(metric('d'), { d: vector(1, 3) })).not.toBe(key)
    expect(keyOf(metric('d', 'hook_embed'), { d: vector(1, 2) })).not.toBe(key)
  })

  it('refuses a metric whose tensor is not there', () => {
    expect(() => keyOf(metric('d'), {})).toThrow(/"d"/)
  })

  it('leaves the key of the pass as it is, and changes the hash of the request', () => {
    const tensors = { d: vector(1) }
    const run = input({ backward: { metric: metric('d'), hooks: [] } }, tensors)
    expect(passKey('m', run)).toBe(passKey('m', input({})))
    expect(requestHash(run)).not.toBe(requestHash(input({})))
    expect(requestHash(run)).toBe(
      requestHash(input({ backward: { metric: metric('d', 'blocks.1.hook_in'), hooks: [] } }, tensors)),
    )
  })
})

describe('passKey', () => {
  it('is the same for any captures and logits of one pass', () => {
    const key = passKey('m', input({}))
    expect(passKey('m', input({ captures: ['hook_embed'], logits: 'all' }))).toBe(key)
  })

  it('does not see under which alias a hook point was named', () => {
    const tensors = { v: vector(1) }
    expect(passKey('m', input({ interventions: [steered('blocks.1.hook_in')] }, tensors))).toBe(
      passKey('m', input({ interventions: [steered('blocks.1.hook_resid_pre')] }, tensors)),
    )
  })

  it('changes with anything that changes a number', () => {
    const tensors = { v: vector(1) }
    const residual = { v: { shape: [1, 3, 1], data: new Float32Array(3) } }
    const inputs = [
      input({}),
      input({ rows: [[1, 2, 4]] }),
      input({ rows: [[1, 2], [3]] }),
      input({ rows: [[1], [2, 3]] }),
      input({ stopLayer: 1 }),
      input({ start: { layer: 1, residual: 'v' } }, residual),
      input({ interventions: [steered('blocks.1.hook_resid_pre')] }, tensors),
      input({ interventions: [steered('blocks.2.hook_resid_pre')] }, tensors),
      input({ interventions: [steered('blocks.1.hook_resid_pre')] }, { v: vector(2) }),
    ]
    const keys = [...inputs.map((i) => passKey('m', i)), passKey('other provider', inputs[0])]
    expect(new Set(keys).size).toBe(keys.length)
  })

  it('does not depend on tensors that the request does not name', () => {
    expect(passKey('m', input({}, { unused: vector(1) }))).toBe(passKey('m', input({})))
  })

  it('refuses a request whose tensor is missing, also one named like an object’s own', () => {
    for (const name of ['v', 'constructor', '__proto__'])
      expect(() => passKey('m', input({ interventions: [steered('blocks.1.hook_in', name)] }))).toThrow(
        expect.objectContaining({ code: 'input.invalid', field: `tensors.${name}` }),
      )
  })
})

describe('requestHash', () => {
  it('is the same however the tensors are ordered', () => {
    const interventions = [steered('blocks.1.hook_in', 'a'), steered('blocks.1.hook_in', 'b')]
    const [a, b] = [vector(1), vector(2)]
    expect(requestHash(input({ interventions }, { a, b }))).toBe(
      requestHash(input({ interventions }, { b, a })),
    )
  })

  it('changes with what is captured', () => {
    expect(requestHash(input({ captures: ['hook_embed'] }))).not.toBe(requestHash(input({})))
  })

  it('differs for different token rows', () => {
    const rows = fc.array(fc.array(fc.nat(50_000), { minLength: 1, maxLength: 4 }), {
      minLength: 1,
      maxLength: 3,
    })
    fc.assert(
      fc.property(rows, rows, (a, b) => {
        const equal = JSON.stringify(a) === JSON.stringify(b)
        expect(requestHash(input({ rows: a })) === requestHash(input({ rows: b }))).toBe(equal)
      }),
    )
  })
})

describe('canonicalHook', () => {
  it('resolves aliases and leaves other names to the run', () => {
    expect(canonicalHook('blocks.3.attn.o.hook_in')).toBe('blocks.3.attn.hook_z')
    expect(canonicalHook('no.such.hook')).toBe('no.such.hook')
  })
})
