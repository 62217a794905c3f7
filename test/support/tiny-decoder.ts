/**
 * Small decoders as ONNX graphs, in the ways in which exporters write the same thing: what recognition must see through.
 * Values and weights have numbers for names.
 */
import { floatTensor, integerTensor, modelBytes, node, value, type GraphInit } from './onnx-model'

export interface DecoderStyle {
  /** sequential: mid = x + a, out = mid + m. parallel: out = x + a + m, added in one of two orders. */
  readonly topology?: 'sequential' | 'parallel' | 'parallel-stream-first' | 'post-norm'
  readonly norm?: 'fused-layer' | 'fused-rms' | 'rms-div' | 'rms-reciprocal' | 'layer-written' | 'none'
  readonly mask?: 'add' | 'where'
  readonly mlp?: 'plain' | 'gated' | 'gated-fused' | 'bilinear' | 'experts' | 'none'
  readonly projections?: 'separate' | 'fused-split' | 'fused-gather'
  /** Norms on what attention and MLP add. */
  readonly postNorms?: boolean
  /** The stream is the second operand of additions. */
  readonly flipped?: boolean
  /** Nodes that only pass values on, between the others. */
  readonly padded?: boolean
  readonly opset?: number
  /** Scale and soft-cap on the scores and the logits. */
  readonly capped?: boolean
  readonly finalNorm?: boolean
  /** Attention as one operator: ONNX Runtime's or ONNX's own. */
  readonly attention?: 'written' | 'multi-head' | 'group-query' | 'onnx'
  /** Takes keys and values of earlier positions (with attention as group-query only), and gives out all. */
  readonly past?: boolean
  /** Additions and norms as one operator of ONNX Runtime's. */
  readonly skipNorms?: boolean
  /** The second block's MLP adds what the first block's attention gave. */
  readonly shared?: boolean
}

export const BLOCKS = 2
export const WIDTH = 24
export const HEADS = 3
export const HEAD = 8
export const VOCAB = 23
export const MLP = 20
const TABLE = 16

class Writer {
  readonly nodes: GraphInit['node'] = []
  readonly weights: NonNullable<GraphInit['initializer']> = []
  readonly pasts: string[] = []
  readonly presents: string[] = []
  #count = 0

  constructor(
    readonly opset: number,
    readonly past: boolean,
  ) {}

  op(
    op: string,
    inputs: string[],
    attributes: Parameters<typeof node>[3] = {},
    outputs = 1,
    domain = '',
  ): string[] {
    const names = Array.from({ length: outputs }, () => `${++this.#count}`)
    this.nodes.push(node(op, inputs, names, attributes, { name: '', domain }))
    return names
  }

  /** x + branch, normalised and as it is. */
  skipNorm(x: string, branch: string): { sum: string; normed: string } {
    const [normed, sum] = [`${++this.#count}`, `${++this.#count}`]
    const inputs = [x, branch, this.weight(WIDTH), this.weight(WIDTH)]
    this.nodes.push(
      node(
        'SkipSimplifiedLayerNormalization',
        inputs,
        [normed, '', '', sum],
        { epsilon: { float: 1e-5 } },
        { name: '', domain: 'com.microsoft' },
      ),
    )
    return { sum, normed }
  }

  one(op: string, inputs: string[], attributes: Parameters<typeof node>[3] = {}): string {
    return this.op(op, inputs, attributes)[0]
  }

  /** Weights of a fixed pattern, about as large as real ones. */
  weight(...dims: number[]): string {
    const name = `w${++this.#count}`
    const size = dims.reduce((a, b) => a * b, 1)
    const at = this.#count
    this.weights.push(
      floatTensor(
        name,
        dims,
        Array.from({ length: size }, (_, i) => 0.4 * Math.sin(12.9898 * (i + 1) + at)),
      ),
    )
    return name
  }

  scalar(number: number): string {
    const name = `w${++this.#count}`
    this.weights.push(floatTensor(name, [], [number]))
    return name
  }

  integers(...numbers: number[]): string {
    const name = `w${++this.#count}`
    this.weights.push(integerTensor(name, [numbers.length], numbers))
    return name
  }

  /** A node whose axes are an input from operator set 13 (18 for means) on. */
  overAxes(op: string, x: string, axes: number[], attributes: Record<string, number> = {}): string {
    const since = op === 'ReduceMean' ? 18 : 13
    return this.opset >= since
      ? this.one(op, [x, this.integers(...axes)], attributes)
      : this.one(op, [x], { ...attributes, axes })
  }
}

/** The bytes of a decoder with inputs `0` (token ids) and `m` (mask), output `y`. */
export function tinyDecoder(style: DecoderStyle = {}): Uint8Array {
  const { topology = 'sequential', flipped = false, padded = false, finalNorm = true } = style
  const g = new Writer(style.opset ?? 18, style.past ?? false)
  const pass = (x: string): string => (padded ? g.one('Identity', [x]) : x)
  const add = (stream: string, branch: string): string =>
    g.one('Add', flipped ? [branch, pass(stream)] : [pass(stream), branch])
  const normed = (x: string): string => (style.norm === 'none' ? x : norm(g, style.norm ?? 'rms-div', x))
  const post = (x: string): string => (style.postNorms === true ? norm(g, 'rms-div', x) : x)
  const bias = maskBias(g)

  const table = g.weight(VOCAB, WIDTH)
  const positions = g.one('Gather', [g.weight(TABLE, WIDTH), positionIds(g)])
  let x = g.one('Add', [g.one('Gather', [table, '0']), positions])
  let first: string | null = null
  let ready: string | null = null
  for (let block = 0; block < BLOCKS; block++) {
    const attend = (input: string): string => post(attention(g, style, input, bias))
    const think = (input: string): string => post(mlp(g, style, input))
    if (style.skipNorms === true) {
      const mid = g.skipNorm(x, attend(ready ?? normed(x)))
      const out = g.skipNorm(mid.sum, think(mid.normed))
      x = out.sum
      ready = out.normed
    } else if (style.mlp === 'none') x = add(x, attend(normed(x)))
    else if (topology === 'sequential') {
      const attended = attend(normed(x))
      const mid = add(x, attended)
      const thought = think(normed(mid))
      x = add(mid, first === null ? thought : g.one('Add', [thought, first]))
      if (style.shared === true) first = attended
    } else if (topology === 'post-norm') {
      const mid = normed(add(x, attend(x)))
      x = normed(add(mid, think(mid)))
    } else {
      const input = normed(x)
      const [a, m] = [attend(input), think(input)]
      x = topology === 'parallel' ? add(x, g.one('Add', [a, m])) : add(add(x, a), m)
    }
  }
  const end = ready ?? (finalNorm && topology !== 'post-norm' ? normed(pass(x)) : x)
  const logits = g.one('MatMul', [end, g.one('Transpose', [table], { perm: [1, 0] })])
  const capped = style.capped === true ? cap(g, logits, 30) : logits
  g.nodes.push(node('Identity', [capped], ['y']))
  return modelBytes(
    {
      node: g.nodes,
      initializer: g.weights,
      input: [
        value('0', ['b', 's'], 7),
        value('m', ['b', g.past ? 'p + s' : 's'], 7),
        ...g.pasts.map((name) => value(name, ['b', HEADS, 'p', HEAD])),
      ],
      output: [
        value('y', ['b', 's', VOCAB]),
        ...g.presents.map((name) => value(name, ['b', HEADS, 'p + s', HEAD])),
      ],
    },
    { '': g.opset, 'com.microsoft': 1 },
  )
}

/** Places of the tokens: as many as there are, behind the earlier ones, [1, s]. */
function positionIds(g: Writer): string {
  const axis = scalarInteger(g, 1)
  const size = g.one('Gather', [g.one('Shape', ['0']), axis])
  if (!g.past) return g.overAxes('Unsqueeze', g.one('Range', [scalarInteger(g, 0), size, axis]), [0])
  const all = g.one('Gather', [g.one('Shape', ['m']), axis])
  return g.overAxes('Unsqueeze', g.one('Range', [g.one('Sub', [all, size]), all, axis]), [0])
}

function scalarInteger(g: Writer, number: number): string {
  const name = `i${g.nodes.length}_${number}_${g.weights.length}`
  g.weights.push(integerTensor(name, [], [number]))
  return name
}

/** Causal and padding mask as a bias [b, 1, s, s], and as truth values; with earlier positions their number alone. */
function maskBias(g: Writer): { bias: string; visible: string } {
  if (g.past) {
    const lengths = g.overAxes('ReduceSum', 'm', [1], { keepdims: 0 })
    const last = g.one('Cast', [g.one('Sub', [lengths, scalarInteger(g, 1)])], { to: 6 })
    const total = g.one('Cast', [g.one('Gather', [g.one('Shape', ['m']), scalarInteger(g, 1)])], { to: 6 })
    return { bias: last, visible: total }
  }
  const ids = positionIds(g)
  const queries = g.overAxes('Unsqueeze', ids, [2])
  const keys = g.overAxes('Unsqueeze', ids, [1])
  const later = g.one('Greater', [keys, queries])
  const causal = g.overAxes('Unsqueeze', g.one('Not', [later]), [1])
  const real = g.overAxes('Unsqueeze', g.one('Cast', ['m'], { to: 9 }), [1, 2])
  const visible = g.one('And', [causal, real])
  return { bias: g.one('Where', [visible, g.scalar(0), g.scalar(-1e9)]), visible }
}

const cap = (g: Writer, x: string, limit: number): string =>
  g.one('Mul', [g.one('Tanh', [g.one('Div', [x, g.scalar(limit)])]), g.scalar(limit)])

function norm(g: Writer, kind: Exclude<DecoderStyle['norm'], undefined>, x: string): string {
  const weight = g.weight(WIDTH)
  const eps = g.scalar(1e-5)
  if (kind === 'fused-layer') return g.one('LayerNormalization', [x, weight, g.weight(WIDTH)], { axis: -1 })
  if (kind === 'fused-rms') return g.one('SimplifiedLayerNormalization', [x, weight], { axis: -1 })
  const centred =
    kind === 'layer-written' ? g.one('Sub', [x, g.overAxes('ReduceMean', x, [-1], { keepdims: 1 })]) : x
  const square = kind === 'rms-div' ? g.one('Mul', [centred, centred]) : g.one('Pow', [centred, g.scalar(2)])
  const mean = g.overAxes('ReduceMean', square, [-1], { keepdims: 1 })
  const root = g.one('Sqrt', [g.one('Add', [mean, eps])])
  const quotient =
    kind === 'rms-reciprocal'
      ? g.one('Mul', [centred, g.one('Reciprocal', [root])])
      : g.one('Div', [centred, root])
  const weighted = g.one('Mul', [weight, quotient])
  return kind === 'layer-written' ? g.one('Add', [weighted, g.weight(WIDTH)]) : weighted
}

const linear = (g: Writer, x: string, inputs: number, outputs: number): string =>
  g.one('Add', [g.one('MatMul', [x, g.weight(inputs, outputs)]), g.weight(outputs)])

function attention(
  g: Writer,
  { mask = 'add', projections = 'separate', capped = false, attention: kind = 'written' }: DecoderStyle,
  x: string,
  { bias, visible }: { bias: string; visible: string },
): string {
  if (kind !== 'written') {
    const flat = [0, 1, 2].map(() => linear(g, x, WIDTH, WIDTH))
    if (kind === 'group-query') {
      const layer = g.pasts.length / 2
      const [k, v] = ['k', 'v'].map((which) => `past.${layer}.${which}`)
      const outputs = ['k', 'v'].map((which) => `present.${layer}.${which}`)
      const [z, ...present] = g.op(
        'GroupQueryAttention',
        [...flat, k, v, bias, visible],
        { num_heads: HEADS, kv_num_heads: HEADS },
        3,
        'com.microsoft',
      )
      outputs.forEach((name, i) => g.nodes.push(node('Identity', [present[i]], [name])))
      g.pasts.push(k, v)
      g.presents.push(...outputs)
      return linear(g, z, WIDTH, WIDTH)
    }
    const [y] =
      kind === 'onnx'
        ? g.op('Attention', [...flat, bias], { q_num_heads: HEADS, kv_num_heads: HEADS })
        : g.op('MultiHeadAttention', [...flat, '', '', bias], { num_heads: HEADS }, 1, 'com.microsoft')
    return linear(g, y, WIDTH, WIDTH)
  }
  const heads = g.integers(0, 0, HEADS, HEAD)
  const byHead = (flat: string): string =>
    g.one('Transpose', [g.one('Reshape', [flat, heads])], { perm: [0, 2, 1, 3] })
  const [q, k, v] = project()
  const scaled = g.one('Mul', [q, g.scalar(1 / Math.sqrt(HEAD))])
  const product = g.one('MatMul', [scaled, g.one('Transpose', [k], { perm: [0, 1, 3, 2] })])
  const raw = capped ? cap(g, product, 5) : product
  const scores = mask === 'add' ? g.one('Add', [raw, bias]) : g.one('Where', [visible, raw, g.scalar(-1e9)])
  const z = g.one('Transpose', [g.one('MatMul', [g.one('Softmax', [scores], { axis: -1 }), v])], {
    perm: [0, 2, 1, 3],
  })
  return linear(g, g.one('Reshape', [z, g.integers(0, 0, WIDTH)]), WIDTH, WIDTH)

  function project(): [string, string, string] {
    if (projections === 'separate')
      return [0, 1, 2].map(() => byHead(linear(g, x, WIDTH, WIDTH))) as [string, string, string]
    const fused = linear(g, x, WIDTH, 3 * WIDTH)
    if (projections === 'fused-split') {
      const parts =
        g.opset >= 13
          ? g.op('Split', [fused, g.integers(WIDTH, WIDTH, WIDTH)], { axis: 2 }, 3)
          : g.op('Split', [fused], { axis: 2, split: [WIDTH, WIDTH, WIDTH] }, 3)
      return parts.map(byHead) as [string, string, string]
    }
    // As GPT-NeoX and BLOOM: [b, s, head, 3, d_head], then one of the three.
    const five = g.one('Reshape', [fused, g.integers(0, 0, HEADS, 3, HEAD)])
    return [0, 1, 2].map((which) =>
      g.one('Transpose', [g.one('Gather', [five, scalarInteger(g, which)], { axis: 3 })], {
        perm: [0, 2, 1, 3],
      }),
    ) as [string, string, string]
  }
}

function mlp(g: Writer, { mlp: kind = 'plain' }: DecoderStyle, x: string): string {
  const silu = (y: string): string => g.one('Mul', [y, g.one('Sigmoid', [y])])
  switch (kind) {
    case 'plain':
      return linear(g, g.one('Tanh', [linear(g, x, WIDTH, MLP)]), MLP, WIDTH)
    case 'gated':
      return linear(g, g.one('Mul', [silu(linear(g, x, WIDTH, MLP)), linear(g, x, WIDTH, MLP)]), MLP, WIDTH)
    case 'gated-fused': {
      const both = linear(g, x, WIDTH, 2 * MLP)
      const [gate, up] =
        g.opset >= 13
          ? g.op('Split', [both, g.integers(MLP, MLP)], { axis: -1 }, 2)
          : g.op('Split', [both], { axis: -1, split: [MLP, MLP] }, 2)
      return linear(g, g.one('Mul', [up, silu(gate)]), MLP, WIDTH)
    }
    case 'bilinear':
      return linear(g, g.one('Mul', [linear(g, x, WIDTH, MLP), linear(g, x, WIDTH, MLP)]), MLP, WIDTH)
    case 'experts': {
      const router = g.one('Softmax', [linear(g, x, WIDTH, 2)], { axis: -1 })
      const [first, second] = [0, 1].map((expert) => {
        const weight = g.one('Gather', [router, g.integers(expert)], { axis: -1 })
        return g.one('Mul', [linear(g, g.one('Tanh', [linear(g, x, WIDTH, MLP)]), MLP, WIDTH), weight])
      })
      return g.one('Add', [first, second])
    }
    case 'none':
      return x
  }
}
