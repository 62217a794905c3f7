import { describe, expect, it } from 'vitest'
import type { CollectionOutput } from '../../../preload/collections'
import { PatchbayError } from '../../../preload/errors'
import { encodeNpy } from '../../../preload/npy'
import { formatOf, pairsOfFile, pairsOfText } from '../../../renderer/views/patch/pairs-file'
import { keptRules, keptTensor } from '../../../renderer/views/patch/kept-activation'
import { linesOf, longEnough } from '../../../renderer/views/patch/source-rows'
import { fromHalf, tensorsOfFile } from '../../../renderer/files/tensor-file'
import { firstPositions, placedTensors } from '../../../renderer/views/patch/tensor-source'

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const message = (run: () => unknown): string => {
  try {
    run()
  } catch (thrown) {
    if (thrown instanceof PatchbayError) return thrown.message
    throw thrown
  }
  return ''
}

describe('pasted pairs', () => {
  it('are lines in turn, with their commas', () => {
    expect(pairsOfText('When A, B\nWhen A, C\n\nOne\nTwo\n')).toEqual([
      { clean: 'When A, B', corrupt: 'When A, C' },
      { clean: 'One', corrupt: 'Two' },
    ])
  })

  it('are JSON, JSON Lines, CSV or columns of a spreadsheet, perhaps with answers', () => {
    const plain = [{ clean: 'a', corrupt: 'b' }]
    const answered = [{ clean: 'a, c', corrupt: 'b', answer: ' x', wrong: ' y' }]
    expect(pairsOfText('[{"clean": "a", "corrupt": "b"}]')).toEqual(plain)
    expect(pairsOfText('{"pairs": [["a", "b"]]}')).toEqual(plain)
    expect(pairsOfText('["a", "b"]\n["c", "d"]')).toHaveLength(2)
    expect(pairsOfText(JSON.stringify(answered[0]))).toEqual(answered)
    expect(pairsOfText('clean,corrupt,answer,wrong\n"a, c",b, x, y')).toEqual(answered)
    expect(pairsOfText('wrong,clean,corrupt\n y,a,b')).toEqual([{ ...plain[0], wrong: ' y' }])
  })

  it('are told apart by how they begin', () => {
    expect(formatOf('{\n "pairs": []}')).toBe('json')
    expect(formatOf('{"clean": "a", "corrupt": "b"}')).toBe('jsonl')
    expect(formatOf('When A, B\nWhen A, C')).toBe('lines')
    expect(formatOf('a\tb')).toBe('tsv')
    expect(formatOf('"a","b"')).toBe('csv')
  })

  it('are refused whole, with the line', () => {
    expect(message(() => pairsOfText('one\ntwo\nthree'))).toContain('line 3: is a clean prompt without')
    expect(message(() => pairsOfText('{"clean": "a", "corrupt": "b"}\n{"clean": "a"}'))).toContain('line 2')
    expect(message(() => pairsOfText('[1]'))).toContain('entry 1: is no pair')
    expect(message(() => pairsOfText('  '))).toContain('holds no pairs')
    expect(message(() => pairsOfText(Array(512).fill('x').join('\n')))).toContain('takes 256 at most')
  })

  it('are read from files by their extension', () => {
    expect(pairsOfFile('a.csv', bytesOf('x,y'))).toEqual([{ clean: 'x', corrupt: 'y' }])
    expect(pairsOfFile('a.txt', bytesOf('x, y\nz'))).toEqual([{ clean: 'x, y', corrupt: 'z' }])
    expect(message(() => pairsOfFile('a.txt', Uint8Array.of(0xff, 0xfe, 0x00)))).toContain('not UTF-8')
  })
})

/** A safetensors file. */
function safetensors(
  tensors: Record<string, { dtype: string; shape: number[]; bytes: number[] }>,
): Uint8Array {
  let at = 0
  const header = Object.fromEntries(
    Object.entries(tensors).map(([name, { dtype, shape, bytes }]) => {
      const entry = { dtype, shape, data_offsets: [at, at + bytes.length] }
      at += bytes.length
      return [name, entry]
    }),
  )
  const text = bytesOf(JSON.stringify(header))
  const out = new Uint8Array(8 + text.length + at)
  new DataView(out.buffer).setBigUint64(0, BigInt(text.length), true)
  out.set(text, 8)
  out.set(
    Object.values(tensors).flatMap(({ bytes }) => bytes),
    8 + text.length,
  )
  return out
}
const float = (value: number): number[] => Array.from(new Uint8Array(Float32Array.of(value).buffer))

describe('a tensor that is opened', () => {
  it('is an array of NumPy’s in any width of floating point', () => {
    const single = encodeNpy({ type: 'float32', shape: [2], data: Float32Array.of(1, -2.5) })
    expect(tensorsOfFile('v.npy', single)).toEqual({
      'v.npy': { shape: [2], data: Float32Array.of(1, -2.5) },
    })
    const double = encodeNpy({ type: 'float64', shape: [1, 2], data: Float64Array.of(3, 4) })
    expect(tensorsOfFile('v.npy', double)['v.npy'].shape).toEqual([1, 2])
    const half = encodeNpy({ type: 'float16', shape: [2], data: Uint16Array.of(0x3c00, 0xc100) })
    expect([...tensorsOfFile('v.npy', half)['v.npy'].data]).toEqual([1, -2.5])
    expect(fromHalf(0x0001)).toBe(2 ** -24)
    expect(fromHalf(0xfc00)).toBe(-Infinity)
  })

  it('is every floating-point tensor of a safetensors file; integers are passed over', () => {
    const file = safetensors({
      a: { dtype: 'F32', shape: [1, 2], bytes: [...float(1), ...float(2)] },
      b: { dtype: 'BF16', shape: [1], bytes: [0x80, 0x3f] },
      n: { dtype: 'I64', shape: [1], bytes: [1, 0, 0, 0, 0, 0, 0, 0] },
    })
    const tensors = tensorsOfFile('x.safetensors', file)
    expect(Object.keys(tensors)).toEqual(['a', 'b'])
    expect([...tensors.b.data]).toEqual([1])
  })

  it('is refused where its sizes do not add up, or its numbers are none', () => {
    const short = encodeNpy({ type: 'float32', shape: [2], data: Float32Array.of(1, 2) }).slice(0, -1)
    expect(message(() => tensorsOfFile('v.npy', short))).toContain(
      '7 bytes of values where its shape wants 8',
    )
    const nan = encodeNpy({ type: 'float32', shape: [1], data: Float32Array.of(NaN) })
    expect(message(() => tensorsOfFile('v.npy', nan))).toContain('NaN or infinity')
    const integers = encodeNpy({ type: 'int32', shape: [1], data: Int32Array.of(1) })
    expect(message(() => tensorsOfFile('v.npy', integers))).toContain('not floating-point numbers')
    const outside = safetensors({ a: { dtype: 'F32', shape: [4], bytes: float(1) } })
    expect(message(() => tensorsOfFile('x.safetensors', outside))).toContain('outside of the file')
    const huge = new Uint8Array(8)
    new DataView(huge.buffer).setBigUint64(0, 2n ** 63n, true)
    expect(message(() => tensorsOfFile('x.safetensors', huge))).toContain('is no .safetensors file')
  })
})

describe('where a tensor goes', () => {
  const tensor = (...shape: number[]) => ({
    shape,
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i),
  })

  it('is every layer, where it is one', () => {
    const placed = placedTensors({ name: 'v', serial: 1, tensors: { v: tensor(3) } }, 'resid_pre', 2)
    expect(placed?.layers).toEqual([0, 1])
    expect(new Set(Object.values(placed?.names ?? {})).size).toBe(1)
    expect(Object.values(placed?.tensors ?? {})[0].shape).toEqual([3])
  })

  it('is a layer each, where its first axis is the layer', () => {
    const placed = placedTensors({ name: 'v', serial: 1, tensors: { v: tensor(2, 1, 3) } }, 'resid_pre', 2)
    expect(Object.values(placed?.tensors ?? {}).map(({ data }) => [...data])).toEqual([
      [0, 1, 2],
      [3, 4, 5],
    ])
  })

  it('is where it is named after, and nowhere else', () => {
    const stored = { name: 'v', serial: 1, tensors: { 'blocks.1.hook_resid_pre': tensor(3) } }
    const placed = placedTensors(stored, 'resid_pre', 2)
    expect(placed?.layers).toEqual([1])
    expect(Object.keys(placed?.names ?? {})).toEqual(['blocks.1.hook_resid_pre'])
    expect(placedTensors(stored, 'mlp_out', 2)).toBeNull()
  })

  it('has another name after another file was opened', () => {
    const of = (serial: number) =>
      placedTensors({ name: 'v', serial, tensors: { v: tensor(3) } }, 'resid_pre', 1)?.names
    expect(of(1)).not.toEqual(of(2))
  })
})

describe('what is kept of a row', () => {
  const outputOf = (hook: string, rule: string, more: Partial<CollectionOutput> = {}): CollectionOutput => ({
    name: hook + rule,
    hook,
    asked: { hooks: [hook], positions: { kind: 'all' }, reduction: { kind: 'none' }, dtype: 'float32' },
    dtype: 'float32',
    dims: ['pos', 'd_model'],
    sizes: [null, 2],
    error: 0,
    ...more,
  })
  const hook = 'blocks.1.hook_resid_pre'
  const reduced = (kind: 'mean' | 'norm', dims: string[]): Partial<CollectionOutput> => ({
    asked: { hooks: [hook], positions: { kind: 'all' }, reduction: { kind }, dtype: 'float32' },
    dims,
  })

  it('is an activation of the component: as it was, or reduced over positions', () => {
    const outputs = [
      outputOf(hook, ''),
      outputOf('blocks.2.hook_resid_pre', ''),
      outputOf(hook, '[all]{mean}', reduced('mean', ['d_model'])),
      outputOf(hook, '[all]{norm}', reduced('norm', ['pos'])),
      outputOf('blocks.1.hook_mlp_out', ''),
    ]
    const rules = keptRules({ outputs }, 'resid_pre')
    expect(rules.map(({ name, positions }) => [name, positions])).toEqual([
      ['', true],
      ['[all]{mean}', false],
    ])
    expect(rules[0].outputs.map((output) => output.hook)).toEqual([hook, 'blocks.2.hook_resid_pre'])
    const pattern = outputOf('blocks.1.attn.hook_pattern', '', { dims: ['head', 'q_pos', 'k_pos'] })
    expect(keptRules({ outputs: [pattern] }, 'pattern')).toEqual([])
  })

  it('is one position, the mean, or each where all are there', () => {
    const [rule] = keptRules({ outputs: [outputOf(hook, '')] }, 'resid_pre')
    const token = { id: 0, piece: 'a', text: 'a', special: false }
    const answer = {
      tokens: [token, token, token],
      positions: Int32Array.of(0, 2),
      norms: new Float32Array(2),
      values: { shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) },
      dims: ['pos', 'd_model'],
    }
    expect(keptTensor(answer, rule, 'one', -1)).toEqual({ shape: [2], data: Float32Array.of(3, 4) })
    expect(keptTensor(answer, rule, 'mean', 0)).toEqual({ shape: [2], data: Float32Array.of(2, 3) })
    expect(message(() => keptTensor(answer, rule, 'one', 1))).toContain('Position 1 of the row is not kept')
    expect(message(() => keptTensor(answer, rule, 'each', 0))).toContain('Not every position')
    const every = { ...answer, positions: Int32Array.of(0, 1) }
    expect(keptTensor(every, rule, 'each', 0)).toBe(every.values)
    expect(message(() => keptTensor({ ...answer, values: null }, rule, 'one', 0))).toContain('more numbers')
  })

  it('is cut to what is run, or refused where it is shorter', () => {
    const tensors = { h: { shape: [3, 2], data: Float32Array.of(1, 2, 3, 4, 5, 6) } }
    expect(firstPositions(tensors, 2)).toEqual({ h: { shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) } })
    expect(firstPositions(tensors, 4)).toBeNull()
  })
})

describe('the prompts of a source', () => {
  it('are lines that say something, and long enough to be resampled', () => {
    expect(linesOf('a\n\n b \r\n')).toEqual(['a', ' b '])
    expect(longEnough([[1], [1, 2], [1, 2, 3]], 2)).toEqual([
      [1, 2],
      [1, 2, 3],
    ])
  })
})
