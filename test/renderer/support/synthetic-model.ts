/** A model that exists only in tests: shapes like a small Llama's, numbers from a hash, so every picture can be checked. */
import {
  blockSites,
  hookDims,
  hookName,
  outerSites,
  siteMeaning,
  type Dim,
  type HookPoint,
} from '../../../preload/hooks'
import type { HookPointInfo, ModelDescription, ParameterInfo } from '../../../preload/model'
import type { TokenInfo } from '../../../preload/prompt'

const sizes = (heads: number): Partial<Record<Dim, number>> => ({
  d_model: 32 * heads,
  head: heads,
  kv_head: heads,
  d_head: 32,
  d_mlp: 96 * heads,
  one: 1,
  d_vocab: 256,
})

function hookPoints(layers: number, heads: number): HookPointInfo[] {
  const known = sizes(heads)
  const info = (point: HookPoint): HookPointInfo => ({
    name: hookName(point),
    layer: point.layer,
    site: point.site,
    dims: [...hookDims(point)],
    sizes: hookDims(point).map((dim) => known[dim] ?? null),
    meaning: siteMeaning[point.site],
  })
  const blocks = Array.from({ length: layers }, (_, layer) =>
    (Object.keys(blockSites) as (keyof typeof blockSites)[])
      // No mixture of experts.
      .filter((site) => !/router|expert/.test(site))
      .map((site) => info({ layer, site })),
  )
  const outer = (Object.keys(outerSites) as (keyof typeof outerSites)[])
    .filter((site) => site !== 'hook_pos_embed')
    .map((site) => info({ layer: null, site }))
  return [...outer.slice(0, 1), ...blocks.flat(), ...outer.slice(1)]
}

function parameters(layers: number, heads: number): ParameterInfo[] {
  const d = 32 * heads
  const info = (name: string, layer: number | null, shape: number[]): ParameterInfo => ({
    name,
    layer,
    shape,
    storage: 'F32',
    bytes: 4 * shape.reduce((a, b) => a * b, 1),
  })
  const block = (i: number) => [
    info(`model.layers.${i}.input_layernorm.weight`, i, [d]),
    ...['q', 'k', 'v', 'o'].map((p) => info(`model.layers.${i}.self_attn.${p}_proj.weight`, i, [d, d])),
    info(`model.layers.${i}.post_attention_layernorm.weight`, i, [d]),
    info(`model.layers.${i}.mlp.gate_proj.weight`, i, [3 * d, d]),
    info(`model.layers.${i}.mlp.up_proj.weight`, i, [3 * d, d]),
    info(`model.layers.${i}.mlp.down_proj.weight`, i, [d, 3 * d]),
  ]
  return [
    info('model.embed_tokens.weight', null, [256, d]),
    ...Array.from({ length: layers }, (_, i) => block(i)).flat(),
    info('model.norm.weight', null, [d]),
  ]
}

/** Description of a model with these many layers and heads, `d_head` 32, 256 tokens. */
export function syntheticModel(layers = 4, heads = 4): ModelDescription {
  const all = parameters(layers, heads)
  return {
    handle: 'synthetic-cpu-float32',
    source: { location: { kind: 'embedded' }, provider: 'auto', precision: 'float32', memoryBudget: null },
    fingerprint: 'ab'.repeat(32),
    name: 'synthetic',
    family: 'llama',
    format: 'safetensors',
    precision: 'float32',
    provider: 'cpu',
    providerNote: null,
    layers,
    dModel: 32 * heads,
    heads,
    kvHeads: heads,
    dHead: 32,
    dMlp: 96 * heads,
    vocab: 256,
    contextLength: 512,
    parameterCount: all.reduce((sum, { bytes }) => sum + bytes / 4, 0),
    traits: [
      { label: 'Norm', value: 'RMS, before attention and MLP' },
      { label: 'Positions', value: 'rotary, θ = 10,000' },
      { label: 'Activation', value: 'SiLU, gated' },
      { label: 'Embeddings', value: 'tied' },
    ],
    hasChatTemplate: true,
    tokenizerHash: 'cd'.repeat(32),
    templateHash: 'ef'.repeat(32),
    bosNote: 'The tokenizer adds <s> at the start.',
    hookPoints: hookPoints(layers, heads),
    parameters: all,
    warnings: [],
  }
}

const words = (
  'when Mary and John went to the store , gave a drink park school happy sad bear fox river forest king queen said that ' +
  'it was very old young tall small house garden kitchen bread milk apple tree bird song night day star moon winter'
).split(' ')

/** Token 0 is `<s>`, 1 a line feed, 2 and 3 hostile; the rest are words with a space in front. */
export function syntheticToken(id: number): TokenInfo {
  const fixed = ['<s>', '\n', '<img src=x onerror=alert(1)>', '=HYPERLINK("x")']
  const text = fixed[id] ?? ` ${words[(id - fixed.length) % words.length]}`
  return { id, text, piece: text.replaceAll(' ', 'Ġ').replaceAll('\n', 'Ċ'), special: id === 0 }
}

/** Token ids of a text: one a word, BOS in front; unknown words by their length. */
export const syntheticIds = (text: string): number[] => [
  0,
  ...(text.match(/\S+|\n/g) ?? []).map((word) => {
    if (word === '\n') return 1
    if (word.startsWith('<')) return 2
    if (word.startsWith('=')) return 3
    const known = words.indexOf(word.replace(/^W/, 'w'))
    return known >= 0 ? known + 4 : 100 + (word.length % 100)
  }),
]

/** A number in 0 … 1 that depends on all arguments and on nothing else. */
export function noise(...seed: number[]): number {
  let h = 2166136261
  for (const s of seed) {
    h = Math.imul(h ^ Math.round(s * 1000), 16777619)
    h = Math.imul(h ^ (h >>> 13), 1274126177)
  }
  return ((h ^ (h >>> 16)) >>> 0) / 2 ** 32
}

/** About normally distributed: mean 0, standard deviation 1. */
export const gauss = (...seed: number[]): number =>
  Math.sqrt(3) * (noise(1, ...seed) + noise(2, ...seed) + noise(3, ...seed) + noise(4, ...seed) - 2)
