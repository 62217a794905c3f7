/** A small made-up model for tests of the window: the right shapes, deterministic numbers, no meaning. */
import { hookDims, parseHook, residualPoints, siteMeaning } from '../../../preload/hooks'
import type { CallOutput } from '../../../preload/api'
import type { ModelDescription } from '../../../preload/model'
import type { EncodedToken, PromptSpec, TokenInfo } from '../../../preload/prompt'
import type { Evidence } from '../../../preload/views'

export const fingerprint = 'ab'.repeat(32)

export interface FakeSizes {
  layers: number
  heads: number
  name: string
}
const small: FakeSizes = { layers: 4, heads: 4, name: 'storyworld' }

/** A number in [0, 1) from whole numbers, the same every time. */
export function noise(...parts: number[]): number {
  let state = 2166136261
  for (const part of parts) state = Math.imul(state ^ (part + 0x9e3779b9), 16777619)
  state ^= state >>> 13
  state = Math.imul(state, 0x5bd1e995)
  return ((state ^ (state >>> 15)) >>> 0) / 2 ** 32
}

export function describeModel({ layers, heads, name }: FakeSizes = small): ModelDescription {
  const hookPoints = [...residualPoints(layers), 'blocks.0.attn.hook_pattern'].flatMap((hook) => {
    const point = parseHook(hook)
    if (point === null) return []
    const dims = hookDims(point)
    return [
      {
        name: hook,
        layer: point.layer,
        site: point.site,
        dims: [...dims],
        sizes: dims.map((dim) => (dim === 'd_model' ? 128 : null)),
        meaning: siteMeaning[point.site],
      },
    ]
  })
  return {
    handle: `${name}:cpu:float32`,
    source: { location: { kind: 'embedded' }, provider: 'auto', precision: 'float32', memoryBudget: null },
    fingerprint,
    name,
    family: 'Llama',
    format: 'safetensors',
    precision: 'float32',
    provider: 'cpu',
    providerNote: null,
    layers,
    dModel: 128,
    heads,
    kvHeads: heads,
    dHead: 32,
    dMlp: 384,
    vocab: 1024,
    contextLength: 512,
    parameterCount: 1_050_000,
    traits: [{ label: 'norm', value: 'RMS, eps 1e-5' }],
    hasChatTemplate: true,
    tokenizerHash: fingerprint,
    templateHash: null,
    bosNote: 'tokenizer_config.json says add_bos_token: false.',
    hookPoints,
    parameters: [
      { name: 'model.embed_tokens.weight', layer: null, shape: [1024, 128], storage: 'F32', bytes: 524_288 },
    ],
    warnings: [],
  }
}

const words = new Map<string, number>()
const texts: string[] = []
function idOf(text: string): number {
  const known = words.get(text)
  if (known !== undefined) return known
  const id = texts.length
  words.set(text, id)
  texts.push(text)
  return id
}
idOf('<|endoftext|>')
for (const word of ' Mary| John| the| a| drink| to| store|.| She| gave| book| and|ing| was| sun| ring'.split(
  '|',
))
  idOf(word)

export function tokenOf(id: number): TokenInfo {
  const text = texts[id % Math.max(1, texts.length)]
  return {
    id,
    text,
    piece: text.replaceAll(' ', 'Ġ').replaceAll('\n', 'Ċ'),
    special: /^<\|.*\|>$/.test(text),
  }
}

/** Splits before each blank and around special tokens; every token keeps its text. */
export function encode(prompt: PromptSpec): CallOutput<'prompt.encode'> {
  const rendered =
    prompt.kind === 'text'
      ? prompt.text
      : prompt.messages.map(({ role, content }) => `<|${role}|> ${content}`).join(' ') +
        (prompt.addGenerationPrompt ? ' <|assistant|>' : '')
  const bos = prompt.kind === 'chat' || prompt.bos === 'always'
  const tokens: EncodedToken[] = bos ? [{ ...tokenOf(0), origin: 'bos', start: null, end: null }] : []
  for (const match of rendered.matchAll(/<\|[a-z]+\|>| ?[^ ]+|\n| /g))
    tokens.push({
      ...tokenOf(idOf(match[0])),
      origin: match[0].startsWith('<|') ? 'template' : 'text',
      start: match.index,
      end: match.index + match[0].length,
    })
  const why =
    prompt.kind === 'chat'
      ? 'The chat template wrote the turns and their markup.'
      : 'No BOS token: tokenizer_config.json says add_bos_token: false.'
  return { tokens, rendered, notes: [why] }
}

export const evidenceFor = (name: string, tokens: number[]): Evidence => ({
  request: { version: 1, model: fingerprint, rows: [tokens], captures: [], interventions: [], logits: 'all' },
  provenance: {
    fingerprint,
    modelName: name,
    precision: 'float32',
    provider: 'cpu',
    requestHash: 'cd'.repeat(32),
    patchbay: '0.1.0',
  },
})

const known = () => texts.length

/** Later points agree more with the last one. */
export function lensOf(tokens: number[], { layers, name }: FakeSizes = small): CallOutput<'lens.map'> {
  const points = residualPoints(layers)
  const size = points.length * tokens.length
  const topIds = new Int32Array(size)
  const topProbabilities = new Float32Array(size)
  const entropies = new Float32Array(size)
  const finalRanks = new Int32Array(size)
  const finalProbabilities = new Float32Array(size)
  const infos: Record<string, TokenInfo> = {}
  points.forEach((_, point) =>
    tokens.forEach((token, position) => {
      const depth = point / layers
      const agrees = noise(token, position, 7) < depth ** 1.5 || point === layers
      const cell = point * tokens.length + position
      const final = Math.floor(noise(token, position) * known())
      topIds[cell] = agrees ? final : Math.floor(noise(token, position, point) * known())
      topProbabilities[cell] = Math.min(0.99, 0.05 + depth * noise(position, point, token))
      entropies[cell] = 6.9 * (1 - depth * noise(position, 3, token))
      finalRanks[cell] = agrees ? 0 : Math.floor(1000 * (1 - depth) * noise(point, position))
      finalProbabilities[cell] = agrees ? topProbabilities[cell] : 0.01 * depth
      infos[String(topIds[cell])] = tokenOf(topIds[cell])
    }),
  )
  const shape = [points.length, tokens.length]
  return {
    evidence: evidenceFor(name, tokens),
    points,
    topIds: { shape, data: topIds },
    topProbabilities: { shape, data: topProbabilities },
    entropies: { shape, data: entropies },
    finalRanks: { shape, data: finalRanks },
    finalProbabilities: { shape, data: finalProbabilities },
    tokens: infos,
  }
}

/** `count` candidates with falling probabilities. */
export function candidates(seed: number, count: number): CallOutput<'logits.next'>['top'] {
  const share = 0.35 + 0.6 * noise(seed, 5)
  return Array.from({ length: Math.min(count, known()) }, (_, i) => ({
    ...tokenOf((seed * 3 + i) % known()),
    probability: share * (1 - share) ** i,
    logit: 14 - i * 1.3,
  }))
}

export function cellOf(
  tokens: number[],
  point: number,
  position: number,
  { layers, name }: FakeSizes = small,
): CallOutput<'lens.cell'> {
  const top = candidates(point + 2 * position, 10)
  const points = residualPoints(layers)
  const ranks = new Int32Array(top.length * points.length)
  const probabilities = new Float32Array(ranks.length)
  top.forEach((candidate, c) =>
    points.forEach((_, p) => {
      const distance = Math.abs(p - point)
      ranks[c * points.length + p] =
        distance === 0 ? c : c + Math.floor(20 * distance ** 1.6 * (0.3 + noise(c, p, 9)))
      probabilities[c * points.length + p] = candidate.probability / (1 + 3 * distance)
    }),
  )
  const shape = [top.length, points.length]
  return {
    evidence: evidenceFor(name, tokens),
    points,
    top,
    ranks: { shape, data: ranks },
    probabilities: { shape, data: probabilities },
  }
}

/** Row-stochastic and causal; each head leans to the previous, the first or its own position. */
function weight(layer: number, head: number, query: number, key: number): number {
  if (key > query) return 0
  const kind = Math.floor(noise(layer, head) * 4)
  const peak = [query - 1, 0, query, Math.floor(noise(layer, head, query) * (query + 1))][kind]
  return (
    (key === Math.max(0, peak) ? 6 * noise(layer, head, 1) + 1 : 0) + 0.25 * noise(layer, head, query, key)
  )
}
function patternOf(layer: number, head: number, n: number): Float32Array {
  const pattern = new Float32Array(n * n)
  for (let query = 0; query < n; query++) {
    let sum = 0
    for (let key = 0; key <= query; key++) sum += pattern[query * n + key] = weight(layer, head, query, key)
    for (let key = 0; key <= query; key++) pattern[query * n + key] /= sum
  }
  return pattern
}

export function attentionOf(
  tokens: number[],
  layer: number,
  sizes: FakeSizes = small,
): CallOutput<'attention.layer'> {
  const n = tokens.length
  const data = new Float32Array(sizes.heads * n * n)
  for (let head = 0; head < sizes.heads; head++) data.set(patternOf(layer, head, n), head * n * n)
  return { evidence: evidenceFor(sizes.name, tokens), layer, patterns: { shape: [sizes.heads, n, n], data } }
}

export function overviewOf(
  tokens: number[],
  side: number,
  sizes: FakeSizes = small,
): CallOutput<'attention.overview'> {
  const { layers, heads, name } = sizes
  const n = Math.min(side, tokens.length)
  const count = layers * heads
  const thumbnails = new Float32Array(count * n * n)
  const toFirst = new Float32Array(count)
  const toPrevious = new Float32Array(count)
  const entropy = new Float32Array(count)
  for (let i = 0; i < count; i++) {
    const pattern = patternOf(Math.floor(i / heads), i % heads, n)
    thumbnails.set(pattern, i * n * n)
    for (let query = 1; query < n; query++) {
      toFirst[i] += pattern[query * n] / (n - 1)
      toPrevious[i] += pattern[query * n + query - 1] / (n - 1)
      for (let key = 0; key <= query; key++) {
        const p = pattern[query * n + key]
        entropy[i] -= p > 0 ? (p * Math.log(p)) / (n - 1) : 0
      }
    }
  }
  const shape = [layers, heads]
  return {
    evidence: evidenceFor(name, tokens),
    thumbnails: { shape: [layers, heads, n, n], data: thumbnails },
    toFirst: { shape, data: toFirst },
    toPrevious: { shape, data: toPrevious },
    entropy: { shape, data: entropy },
  }
}
