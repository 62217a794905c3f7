/**
 * Checks of a model against itself, where no reference is at hand: the same numbers on two ways. They find what padding,
 * caching, cutting into blocks and an accelerator break; not what was understood wrongly in the checkpoint.
 */
import { uniformInt } from 'pure-rand/distribution/uniformInt'
import type { CertificateGroup } from '../../../preload/certificate'
import { PatchbayError } from '../../../preload/errors'
import { residualPoints } from '../../../preload/hooks'
import { runRequest, type RunInput, type RunRequestInput, type RunResult } from '../../../preload/run'
import type { Tensor } from '../../../preload/tensor'
import { throwIfCancelled } from '../../runtime/cancelled'
import { seededGenerator } from '../../runtime/seeded'
import type { ModelFacts, RunOptions } from '../subject'
import { relativeError } from './case'
import type { CheckOptions } from './check'
import { graded, GroupTable } from './groups'
import type { SecondOpinions } from './second-opinions'
import { tolerances, toleranceOn } from './tolerances'

/** What self-checks need of a model. */
export interface SelfCheckModel {
  readonly facts: Pick<ModelFacts, 'fingerprint' | 'layers' | 'vocab' | 'contextLength' | 'provider'>
  /** A run of the sessions, whatever is kept in memory. */
  compute(input: RunInput, options?: RunOptions): Promise<RunResult>
  readonly opinions: SecondOpinions
}

export interface SelfCheckResult {
  groups: CertificateGroup[]
  /** What was left out, and why. */
  notes: string[]
}

/** Rows of the batch: lengths that differ, so that two of them are padded. */
const LENGTHS = [5, 16, 41]
/** Tokens of the decoded sequence, and how many of them are fed one by one. */
const DECODED = 20
const STEPS = 6

/**
 * Runs all checks that the model allows. Tokens are drawn with a fixed seed.
 * @throws PatchbayError what runs throw; `run.cancelled` between blocks. Where the model can not be compiled a second
 *   time (memory), the check is left out and a note says so.
 */
export async function selfCheck(model: SelfCheckModel, options: CheckOptions = {}): Promise<SelfCheckResult> {
  const checks = new SelfChecks(model, options)
  await checks.batched()
  await checks.cached()
  await checks.wholeGraph()
  await checks.provider()
  return checks.result()
}

/**
 * Rows of token ids for a model, the same each time.
 * @param lengths of the rows, as far as the context allows
 */
export function drawnTokens(
  { vocab, contextLength }: Pick<ModelFacts, 'vocab' | 'contextLength'>,
  lengths: readonly number[],
): number[][] {
  const random = seededGenerator(1)
  // The last rows of an embedding are often padding that no tokenizer gives out.
  const last = Math.max(0, Math.floor(vocab * 0.9) - 1)
  return lengths.map((length) =>
    Array.from({ length: Math.min(length, contextLength) }, () => uniformInt(random, 0, last)),
  )
}

class SelfChecks {
  readonly #table = new GroupTable()
  readonly #notes: string[] = []
  readonly #rows: number[][]
  readonly #points: string[]
  readonly #total: number
  #done = 0
  #batch: RunResult | null = null

  constructor(
    private readonly model: SelfCheckModel,
    private readonly options: CheckOptions,
  ) {
    this.#rows = drawnTokens(model.facts, LENGTHS)
    this.#points = residualPoints(model.facts.layers)
    const decoded = Math.min(STEPS, this.#sequence.length - 1) + 2
    const whole = model.opinions.whole === null ? 0 : 1 + this.#rows.length
    const onCpu = model.opinions.onCpu === null ? 0 : 2
    this.#total = 1 + this.#rows.length + decoded + whole + onCpu
  }

  result(): SelfCheckResult {
    const { provider } = this.model.facts
    this.options.onProgress?.(this.#total, this.#total, '')
    return {
      groups: graded(this.#table.results(), toleranceOn(provider, tolerances.selfCheck)),
      notes: this.#notes,
    }
  }

  /** Each row of a padded batch against the same row alone: logits and residual stream at all positions. */
  async batched(): Promise<void> {
    const batch = await this.#run('a padded batch', {
      rows: this.#rows,
      captures: this.#points,
      logits: 'all',
    })
    this.#batch = batch
    for (const [row, tokens] of this.#rows.entries()) {
      const alone = await this.#run('each prompt alone', {
        rows: [tokens],
        captures: this.#points,
        logits: 'all',
      })
      const compare = (name: string, got: Tensor | null, want: Tensor | null): void =>
        this.#compare('batched', `${name} of row ${row}`, rowOf(got, row, tokens.length), rowOf(want, 0))
      compare('logits', batch.logits, alone.logits)
      for (const point of this.#points) compare(point, batch.captures[point], alone.captures[point])
    }
  }

  /** Logits behind tokens that are fed one by one on cached keys and values against runs of the whole beginnings. */
  async cached(): Promise<void> {
    const tokens = this.#sequence
    const steps = Math.min(STEPS, tokens.length - 1)
    if (steps === 0) return
    const from = tokens.length - steps
    this.#tick('decoding')
    const { data } = await this.model.opinions.decode(tokens, from, this.options.signal)
    for (let length = from; length <= tokens.length; length++) {
      const whole = await this.#run('whole sequences', { rows: [tokens.slice(0, length)], logits: 'last' })
      const { vocab } = this.model.facts
      const step = data.slice((length - from) * vocab, (length - from + 1) * vocab)
      this.#compare('cached', `logits after ${length} tokens`, tensorOf(step), rowOf(whole.logits, 0))
    }
  }

  /** Logits of the block stack against those of the model as one graph. */
  async wholeGraph(): Promise<void> {
    await this.#orNote('The block stack against the whole graph', async () => {
      const compile = this.model.opinions.whole
      if (compile === null) return false
      this.#tick('the whole graph')
      const whole = await compile()
      try {
        for (const [row, tokens] of this.#rows.entries()) {
          const stacked = await this.#run('the whole graph', { rows: [tokens], logits: 'last' })
          const logits = await whole.logits(tokens)
          this.#compare('whole graph', `logits of row ${row}`, rowOf(stacked.logits, 0), tensorOf(logits))
        }
      } finally {
        await whole.release()
      }
      return true
    })
  }

  /** The batch on the accelerator against the same batch on the CPU. */
  async provider(): Promise<void> {
    const { provider } = this.model.facts
    if (provider === 'cpu') return
    await this.#orNote(`${provider} against the CPU`, async () => {
      const { onCpu } = this.model.opinions
      if (onCpu === null) return false
      this.#tick('compiling for the CPU')
      const cpu = await onCpu(this.options.signal)
      try {
        this.#tick('the CPU')
        const request = this.#request({ rows: this.#rows, captures: this.#points, logits: 'all' })
        const want = await cpu.compute(request, { signal: this.options.signal })
        for (const [row, { length }] of this.#rows.entries()) {
          const compare = (name: string, got: Tensor | null, right: Tensor | null): void =>
            this.#compare(
              'provider',
              `${name} of row ${row}`,
              rowOf(got, row, length),
              rowOf(right, row, length),
            )
          compare('logits', this.#batch?.logits ?? null, want.logits)
          for (const point of this.#points)
            compare(point, this.#batch?.captures[point] ?? null, want.captures[point])
        }
      } finally {
        await cpu.release()
      }
      return true
    })
  }

  get #sequence(): number[] {
    return this.#rows[this.#rows.length - 1].slice(0, DECODED)
  }

  #request(request: Partial<RunRequestInput>): RunInput {
    const model = this.model.facts.fingerprint
    return { request: runRequest.parse({ model, rows: this.#rows, ...request }), tensors: {} }
  }

  #run(what: string, request: Partial<RunRequestInput>): Promise<RunResult> {
    this.#tick(what)
    return this.model.compute(this.#request(request), { signal: this.options.signal })
  }

  #tick(what: string): void {
    throwIfCancelled(this.options.signal)
    this.options.onProgress?.(Math.min(this.#done++, this.#total), this.#total, what)
  }

  #compare(
    group: 'batched' | 'cached' | 'whole graph' | 'provider',
    name: string,
    got: Tensor | null,
    want: Tensor | null,
  ): void {
    this.#table.note(group, name, got === null || want === null ? Infinity : relativeError(got, want))
  }

  /**
   * A check that compiles the model again, which may not be allowed (the check then says false), for which there may be no
   * memory, or which a provider may refuse.
   */
  async #orNote(what: string, check: () => Promise<boolean>): Promise<void> {
    try {
      if (!(await check())) this.#notes.push(`${what} was left out: ${this.model.opinions.leftOut ?? ''}`)
    } catch (error) {
      if (!(error instanceof PatchbayError)) throw error
      if (error.code !== 'memory.exhausted' && error.code !== 'run.failed') throw error
      this.#notes.push(`${what} was left out: ${error.message}`)
    }
  }
}

/** The first `length` positions (else all) of row `row` of a tensor [batch, pos, …]. */
function rowOf(tensor: Tensor | null, row: number, length?: number): Tensor | null {
  if (tensor === null) return null
  const [batch, positions, ...inner] = tensor.shape
  const size = tensor.data.length / batch
  const kept = length ?? positions
  const data = tensor.data.subarray(row * size, row * size + (size / positions) * kept)
  return { shape: [kept, ...inner], data }
}

const tensorOf = (data: Float32Array): Tensor => ({ shape: [data.length], data })
