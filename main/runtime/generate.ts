/**
 * Continuations of a batch of prompts, token by token on a KV cache. Each row has its own interventions and its own
 * sampler; a row may follow another, taking its tokens, to see what an unchanged model thinks of a steered text.
 */
import { PatchbayError } from '../../preload/errors'
import type { FinishReason, GenerateInput, GenerateRequest, GenerateStep } from '../../preload/run'
import { klDivergence, logSumExp } from './distribution'
import { giveBack } from './give-back'
import { layOut, prepareInterventions, type PreparedIntervention } from './interventions'
import type { KeyValueCache } from './kv'
import { checkPrompts } from './request'
import { Sampler } from './sampling'
import type { Runnable } from './runnable'

export interface GenerateOptions {
  /** The model's end tokens. */
  readonly eos?: readonly number[]
  /** Text of generated tokens; needed for stop strings. */
  readonly decode?: (tokens: readonly number[]) => string | Promise<string>
  readonly signal?: AbortSignal
  readonly onStep?: (step: GenerateStep) => void
}

export interface GeneratedRow {
  /** The generated tokens, without the prompt. */
  readonly tokens: number[]
  readonly finish: FinishReason
}

/**
 * Generates. Rows that ended take no further part; the call ends with the last row.
 * @throws PatchbayError `input.invalid`, `prompt.empty`, `prompt.too-long`, `hook.unknown`, `hook.unavailable`, and what a
 *   run throws; `run.cancelled` between blocks
 */
export async function generate(
  stack: Runnable,
  { request, tensors }: GenerateInput,
  options: GenerateOptions = {},
): Promise<GeneratedRow[]> {
  const prompts = request.rows.map((row) => row.tokens)
  checkPrompts(stack, prompts, 1)
  checkRows(request, options)
  const prepared = prepareInterventions(stack, request.interventions, tensors, prompts.length)
  const rows = request.rows.map((row) => new Row(row.tokens, row.follow ?? null, request, options))

  let alive = rows.map((_, i) => i)
  let cache: KeyValueCache | undefined
  for (let step = 0; alive.length > 0; step++) {
    const whole = cache === undefined
    const fed = alive.map((i) => (whole ? [...prompts[i], ...rows[i].generated] : [rows[i].last]))
    const result = await forward(stack, prepared, alive, prompts, fed, cache, options.signal)
    const logits = new Map(
      alive.map((i, at) => [i, result.logits.subarray(at * stack.vocab, (at + 1) * stack.vocab)]),
    )
    for (const i of alive) if (rows[i].follows === null) rows[i].append(rows[i].sample(need(logits, i)))
    for (const i of alive) if (rows[i].follows !== null) rows[i].append(rows[rows[i].follows].last)
    if (options.onStep !== undefined) options.onStep(report(step, request, rows, logits))
    await Promise.all(alive.map((i) => rows[i].decide(stack.contextLength)))
    for (const i of alive) rows[i].endWith(rows)
    const before = alive
    alive = before.filter((i) => rows[i].finish === null)
    const kept = result.cache.select(alive.map((i) => before.indexOf(i)))
    if (kept !== result.cache) result.cache.release()
    cache?.release()
    giveBack([result.logits])
    cache = stack.continues(kept) ? kept : undefined
  }
  return rows.map((row) => ({ tokens: row.generated, finish: row.finish ?? 'length' }))
}

/** One sequence under way. */
class Row {
  readonly generated: number[] = []
  /** Prompt and continuation. */
  readonly #tokens: number[]
  finish: FinishReason | null = null
  readonly #sampler: Sampler

  constructor(
    prompt: readonly number[],
    readonly follows: number | null,
    private readonly request: GenerateRequest,
    private readonly options: GenerateOptions,
  ) {
    this.#tokens = [...prompt]
    this.#sampler = new Sampler(request.sampling)
  }

  get last(): number {
    return this.generated[this.generated.length - 1]
  }

  sample(logits: Float32Array): number {
    return this.#sampler.next(logits, this.#tokens)
  }

  append(token: number): void {
    this.generated.push(token)
    this.#tokens.push(token)
  }

  /** Whether the row ends by itself. */
  async decide(contextLength: number): Promise<void> {
    const { stopAtEos, maxTokens } = this.request
    if (this.follows === null && stopAtEos && (this.options.eos ?? []).includes(this.last))
      this.finish = 'eos'
    else if (this.follows === null && (await this.#stopped())) this.finish = 'stop'
    else if (this.generated.length >= maxTokens) this.finish = 'length'
    else if (this.#tokens.length >= contextLength) this.finish = 'context'
  }

  /** A follower ends with the row that it follows. */
  endWith(rows: readonly Row[]): void {
    if (this.finish === null && this.follows !== null && rows[this.follows].finish !== null)
      this.finish = 'followed'
  }

  async #stopped(): Promise<boolean> {
    const { stop } = this.request
    if (stop.length === 0 || this.options.decode === undefined) return false
    // A stop string may span tokens; no token is shorter than a byte, so this tail holds any that ends here.
    const longest = Math.max(...stop.map((text) => new TextEncoder().encode(text).length))
    const text = await this.options.decode(this.generated.slice(-longest - 1))
    return stop.some((end) => text.includes(end))
  }
}

async function forward(
  stack: Runnable,
  prepared: readonly PreparedIntervention[],
  alive: readonly number[],
  prompts: readonly (readonly number[])[],
  fed: readonly (readonly number[])[],
  cache: KeyValueCache | undefined,
  signal: AbortSignal | undefined,
): Promise<{ logits: Float32Array; cache: KeyValueCache }> {
  const start = { kind: 'tokens', rows: fed } as const
  const layout = stack.layoutOf({ start, cache })
  const frame = { layout, promptLengths: alive.map((i) => prompts[i].length) }
  const ports = layOut(ofRows(prepared, alive), frame)
  const result = await stack.forward({ start, cache, keepCache: true, ports, logits: 'last', signal })
  if (result.logits === null || result.cache === null)
    throw new PatchbayError('internal', 'A decoding step gave no logits.')
  return { logits: result.logits.data, cache: result.cache }
}

/** Interventions with their rows renumbered for a batch of the rows that are alive. */
function ofRows(prepared: readonly PreparedIntervention[], alive: readonly number[]): PreparedIntervention[] {
  return prepared.map((intervention) => {
    const { rows } = intervention.selection
    if (rows === 'all') return intervention
    const renumbered = alive.flatMap((row, at) => (rows.includes(row) ? [at] : []))
    return { ...intervention, selection: { ...intervention.selection, rows: renumbered } }
  })
}

/** `token` is −1 (and its log-probability 0) for rows that ended before, and so is the KL of a pair with such a row. */
function report(
  step: number,
  { klPairs }: GenerateRequest,
  rows: readonly Row[],
  logits: ReadonlyMap<number, Float32Array>,
): GenerateStep {
  return {
    step,
    tokens: rows.map((row, i) => (logits.has(i) ? row.last : -1)),
    logProbs: rows.map((row, i) => {
      const own = logits.get(i)
      return own === undefined ? 0 : own[row.last] - logSumExp(own)
    }),
    kl: klPairs.map(([p, q]) => {
      const [logitsP, logitsQ] = [logits.get(p), logits.get(q)]
      return logitsP === undefined || logitsQ === undefined ? -1 : klDivergence(logitsP, logitsQ)
    }),
  }
}

function need(logits: ReadonlyMap<number, Float32Array>, row: number): Float32Array {
  const own = logits.get(row)
  if (own === undefined) throw new PatchbayError('internal', `Row ${row} has no logits.`)
  return own
}

function checkRows({ rows, klPairs, stop }: GenerateRequest, { decode }: GenerateOptions): void {
  const invalid = (sentence: string, field: string): PatchbayError =>
    new PatchbayError('input.invalid', `${sentence}.`, { next: 'Correct the request.', field })
  rows.forEach(({ follow }, i) => {
    if (follow === undefined) return
    const target = rows.at(follow)
    if (target === undefined || follow >= rows.length)
      throw invalid(`Row ${i} follows row ${follow}, which does not exist`, `rows.${i}.follow`)
    if (follow === i || target.follow !== undefined)
      throw invalid(`Row ${i} follows row ${follow}, which chooses no tokens of its own`, `rows.${i}.follow`)
  })
  for (const pair of klPairs)
    for (const row of pair)
      if (row >= rows.length)
        throw invalid(`A KL pair names row ${row}, but there are ${rows.length}`, 'klPairs')
  if (stop.length > 0 && decode === undefined)
    throw new PatchbayError('internal', 'Stop strings need a decoder.')
}
