/** The naive Llama behind the interface that analysis and steering see, with storyworld's weights and tokenizer. */
import { readFileSync } from 'node:fs'
import { Tokenizer } from '@huggingface/tokenizers'
import type { EncodedPrompt, PromptSpec, TokenInfo } from '../../preload/prompt'
import {
  noGradients,
  type GenerateInput,
  type Intervention,
  type RunInput,
  type RunResult,
} from '../../preload/run'
import type { Tensor } from '../../preload/tensor'
import { residualPoints } from '../../preload/hooks'
import type {
  GenerateOptions,
  GenerateResult,
  ModelFacts,
  Readout,
  ReadoutOptions,
} from '../../main/analysis/subject'
import type { RunOptions } from '../../main/cache/memory'
import type { SteeringModel } from '../../main/steering/subject'
import { dot, NaiveLlama, type Matrix, type Visit } from './naive-llama'

export const storyworld = new URL('../../assets/models/storyworld/', import.meta.url).pathname

const sites = [
  'hook_resid_pre',
  'attn.hook_pattern',
  'attn.hook_z',
  'hook_resid_mid',
  'mlp.hook_post',
  'hook_resid_post',
]

export class NaiveModel implements SteeringModel {
  readonly facts: ModelFacts
  /** Requests that were run, for tests that count them. */
  readonly requests: RunInput['request'][] = []
  private readonly llama = new NaiveLlama(storyworld)
  private readonly tokenizer = new Tokenizer(
    JSON.parse(readFileSync(`${storyworld}tokenizer.json`, 'utf8')) as object,
    JSON.parse(readFileSync(`${storyworld}tokenizer_config.json`, 'utf8')) as object,
  )

  constructor(changes: Partial<ModelFacts> = {}) {
    const { config } = this.llama
    const layers = config.num_hidden_layers
    this.facts = {
      fingerprint: '5'.repeat(64),
      name: 'storyworld',
      family: 'llama',
      precision: 'float32',
      provider: 'cpu',
      layers,
      dModel: config.hidden_size,
      heads: config.num_attention_heads,
      kvHeads: config.num_attention_heads,
      dHead: config.head_dim,
      vocab: config.vocab_size,
      contextLength: config.max_position_embeddings,
      tokenizerHash: 'a'.repeat(64),
      templateHash: 'b'.repeat(64),
      hooks: new Set(
        Array.from({ length: layers }, (_, i) => sites.map((site) => `blocks.${i}.${site}`)).flat(),
      ),
      patchbay: '0.0.0',
      ...changes,
    }
  }

  async run(input: RunInput, options: RunOptions = {}): Promise<RunResult> {
    options.signal?.throwIfAborted()
    const { request } = input
    this.requests.push(request)
    const lengths = request.rows.map((row) => row.length)
    const longest = Math.max(...lengths)
    const captured = new Map(request.captures.map((hook) => [hook, [] as Matrix[]]))
    const finals = request.rows.map((tokens, row) =>
      this.llama.forward(tokens, (hook, value) => {
        intervene(input, hook, row, tokens.length, tokens.length)(value)
        captured.get(hook)?.push(value.map((vector) => vector.slice()))
      }),
    )
    options.onProgress?.(this.facts.layers, this.facts.layers)
    const last = finals.map((rows, i) => this.llama.logits(rows[lengths[i] - 1]))
    return {
      lengths,
      captures: Object.fromEntries(
        [...captured].map(([hook, rows]) => [hook, this.batch(hook, rows, longest)]),
      ),
      logits:
        request.logits === 'last'
          ? {
              shape: [last.length, 1, this.facts.vocab],
              data: Float32Array.from(last.flatMap((row) => [...row])),
            }
          : null,
      residual:
        request.stopLayer === undefined
          ? null
          : { shape: [finals.length, longest, this.facts.dModel], data: new Float32Array(0) },
      ...noGradients(),
    }
  }

  /** Greedy decoding without a cache: every step is a whole forward pass. */
  async generate(input: GenerateInput, options: GenerateOptions = {}): Promise<GenerateResult> {
    const { request } = input
    const rows = request.rows.map(({ tokens, follow }) => ({
      prompt: tokens.length,
      tokens: [...tokens],
      follow,
      ended: false,
    }))
    for (let step = 0; step < request.maxTokens && rows.some((row) => !row.ended); step++) {
      options.signal?.throwIfAborted()
      const distributions = rows.map((row, i) =>
        this.next(row.tokens, (hook, value) => {
          intervene(input, hook, i, row.prompt, row.tokens.length)(value)
        }),
      )
      const alive = rows.map((row) => !row.ended)
      const own = distributions.map((logProbs) => logProbs.indexOf(Math.max(...logProbs)))
      const chosen = rows.map((row, i) => (row.follow === undefined ? own[i] : own[row.follow]))
      options.onStep?.({
        step,
        tokens: chosen.map((token, i) => (alive[i] ? token : -1)),
        logProbs: chosen.map((token, i) => (alive[i] ? distributions[i][token] : 0)),
        kl: request.klPairs.map(([p, q]) => klOf(distributions[p], distributions[q])),
      })
      rows.forEach((row, i) => {
        if (alive[i]) row.tokens.push(chosen[i])
        row.ended ||= request.stopAtEos && chosen[i] === 0
      })
    }
    return {
      rows: rows.map(({ tokens, prompt, ended, follow }) => ({
        tokens: tokens.slice(prompt),
        text: this.tokenizer.decode(tokens.slice(prompt).filter((id) => id !== 0)),
        finish: follow !== undefined ? 'followed' : ended ? 'eos' : 'length',
      })),
    }
  }

  async readout(residuals: Tensor, { k, targets }: ReadoutOptions): Promise<Readout> {
    const rows = rowsOf(residuals).map((row) => this.llama.logits(row))
    const logProbs = rows.map(logSoftmax)
    const top = rows.map((row) => [...row.keys()].sort((a, b) => row[b] - row[a] || a - b).slice(0, k))
    const wanted = rows.map((_, i) =>
      targets === undefined ? [] : [...targets.ids.subarray(i * targets.perRow, (i + 1) * targets.perRow)],
    )
    const pick = (of: Float64Array[], ids: number[][]): Float32Array =>
      Float32Array.from(ids.flatMap((row, i) => row.map((id) => of[i][id])))
    return {
      topIds: Int32Array.from(top.flat()),
      topLogits: pick(rows, top),
      topLogProbs: pick(logProbs, top),
      entropy: Float32Array.from(logProbs, (row) => -row.reduce((sum, l) => sum + Math.exp(l) * l, 0)),
      targetLogits: pick(rows, wanted),
      targetLogProbs: pick(logProbs, wanted),
      targetRanks: Int32Array.from(
        wanted.flatMap((ids, i) => ids.map((id) => rows[i].filter((x) => x > rows[i][id]).length)),
      ),
    }
  }

  async divergence(p: Tensor, q: Tensor): Promise<Float32Array> {
    const right = rowsOf(q)
    return Float32Array.from(rowsOf(p), (row, i) =>
      klOf(logSoftmax(this.llama.logits(row)), logSoftmax(this.llama.logits(right[i]))),
    )
  }

  tokens(ids: readonly number[]): TokenInfo[] {
    return ids.map((id) => ({
      id,
      piece: this.tokenizer.id_to_token(id) ?? '',
      text: this.tokenizer.decode([id], { skip_special_tokens: false }),
      special: id < 3,
    }))
  }

  async encode(prompt: PromptSpec): Promise<EncodedPrompt> {
    const rendered =
      prompt.kind === 'text'
        ? (prompt.bos === 'always' ? '<|endoftext|>' : '') + prompt.text
        : `<|endoftext|>${prompt.messages.map(({ content }) => `<|user|> ${content}`).join('')} <|bot|>`
    const tokens = this.tokens(this.ids(rendered))
    return {
      rendered,
      notes: [],
      tokens: tokens.map((t) => ({ ...t, origin: 'text', start: null, end: null })),
    }
  }

  ids(text: string): number[] {
    return this.tokenizer.encode(text).ids
  }

  private next(tokens: readonly number[], visit: Visit): Float64Array {
    return logSoftmax(this.llama.logits(this.llama.forward(tokens, visit)[tokens.length - 1]))
  }

  /** Rows of a batch as one array, padded on the right with NaN: nothing may depend on what is there. */
  private batch(hook: string, rows: Matrix[], longest: number): Tensor {
    const { heads, dHead } = this.facts
    const pattern = hook.endsWith('hook_pattern')
    const width = rows[0][0].length
    const shape = pattern
      ? [rows.length, heads, longest, longest]
      : [rows.length, longest, ...(hook.endsWith('hook_z') ? [heads, dHead] : [width])]
    const data = new Float32Array(shape.reduce((a, b) => a * b)).fill(NaN)
    rows.forEach((matrix, row) => {
      const length = pattern ? matrix.length / heads : matrix.length
      const perRow = pattern ? heads * longest * longest : longest * width
      matrix.forEach((vector, i) => {
        const place = pattern
          ? Math.floor(i / length) * longest * longest + (i % length) * longest
          : i * width
        data.set(vector, row * perRow + place)
      })
    })
    return { shape, data }
  }
}

/** What the request's interventions do at `hook` in a batch row. */
function intervene(
  {
    request,
    tensors,
  }: { request: { interventions: readonly Intervention[] }; tensors: Record<string, Tensor> },
  hook: string,
  row: number,
  prompt: number,
  length: number,
): (value: Matrix) => void {
  const here = request.interventions.filter(
    (i) => i.hook === hook && (i.rows === 'all' || i.rows.includes(row)),
  )
  return (value) => {
    for (const { positions, operation } of here)
      for (let position = 0; position < length; position++) {
        const selected = Array.isArray(positions)
          ? positions.includes(position)
          : positions === 'all' ||
            (positions === 'last' ? position === length - 1 : (positions === 'prompt') === position < prompt)
        if (selected) change(value[position], operation, tensors)
      }
  }
}

function change(
  x: Float64Array,
  operation: Intervention['operation'],
  tensors: Record<string, Tensor>,
): void {
  switch (operation.kind) {
    case 'add':
      tensors[operation.value].data.forEach((v, i) => (x[i] += operation.scale * v))
      return
    case 'replace':
      x.set(tensors[operation.value].data)
      return
    case 'scale':
      x.forEach((v, i) => (x[i] = v * operation.factor))
      return
    case 'direction': {
      const { data } = tensors[operation.direction]
      const norm = Math.sqrt(dot(data, data))
      const along = dot(x, data) / norm
      data.forEach((v, i) => (x[i] += (operation.amount * (operation.target - along) * v) / norm))
    }
  }
}

export function logSoftmax(logits: Float64Array): Float64Array {
  const top = Math.max(...logits)
  const total = top + Math.log(logits.reduce((sum, x) => sum + Math.exp(x - top), 0))
  return logits.map((x) => x - total)
}

export const klOf = (p: Float64Array, q: Float64Array): number =>
  p.reduce((sum, l, i) => sum + Math.exp(l) * (l - q[i]), 0)

export const rowsOf = ({ shape: [rows, width], data }: Tensor): Float32Array[] =>
  Array.from({ length: rows }, (_, i) => data.subarray(i * width, (i + 1) * width))

export const lensPoints = (model: NaiveModel): string[] => residualPoints(model.facts.layers)
