/**
 * An open model: checkpoint, tokenizer, what runs and the readout under one handle. It is what analysis and steering work
 * on; whether a run comes from the captures kept in memory or from the sessions is decided here.
 */
import { version } from '../../package.json'
import { PatchbayError } from '../../preload/errors'
import type { ModelDescription } from '../../preload/model'
import type { EncodedPrompt, PromptSpec, TokenInfo } from '../../preload/prompt'
import type { CertificateSummary, GenerateInput, RunInput, RunResult } from '../../preload/run'
import type { Tensor } from '../../preload/tensor'
import type { AttributionModel, Insides } from '../analysis/attribution/subject'
import type { ParityModel } from '../analysis/parity/certificate'
import type { SecondOpinions } from '../analysis/parity/second-opinions'
import type {
  GenerateOptions,
  GenerateResult,
  ModelFacts,
  Readout,
  ReadoutOptions,
  RunOptions,
} from '../analysis/subject'
import type { DiskCaptures, StoredModel } from '../cache/disk'
import type { CaptureMemory } from '../cache/memory'
import type { KeptReadouts } from '../cache/readouts'
import type { NumericIdentity } from '../cache/row-request'
import type { Checkpoint } from '../models/formats/checkpoint'
import type { Tokenizer } from '../models/tokenizer'
import { executeRun, generate, type LoadedModel, type ReadoutHead, type Runnable } from '../runtime'
import type { SteeringModel } from '../steering/subject'

/** Everything that an open model is made of. */
export interface ModelParts {
  readonly place: string
  readonly description: ModelDescription
  readonly checkpoint: Pick<Checkpoint, 'tensors' | 'readFloat32' | 'close'>
  readonly tokenizer: Tokenizer
  /** What requests run on. */
  readonly stack: Runnable
  readonly head: Pick<ReadoutHead, 'read' | 'divergence' | 'release'>
  readonly opinions: SecondOpinions
  /** Why it runs in one piece; null for a stack of blocks. */
  readonly whole: string | null
  /** The graphs that Patchbay built; null where the model came as a graph. */
  readonly own: LoadedModel | null
  /** What it is made of; null likewise. */
  readonly insides: Insides | null
}

export class OpenModel implements SteeringModel, ParityModel, AttributionModel, StoredModel {
  readonly description: ModelDescription
  readonly facts: ModelFacts
  /** What is known of its numbers; goes with every result. */
  certificate: CertificateSummary | null = null

  constructor(
    private readonly parts: ModelParts,
    private readonly kept: {
      readonly captures: CaptureMemory
      readonly disk: DiskCaptures
      readonly readouts: KeptReadouts
    },
  ) {
    this.description = parts.description
    this.facts = {
      ...parts.description,
      hooks: new Set(parts.description.hookPoints.map(({ name }) => name)),
      patchbay: version,
    }
  }

  /** The file or folder that was opened. */
  get place(): string {
    return this.parts.place
  }

  get tokenizer(): Tokenizer {
    return this.parts.tokenizer
  }

  /** Why it runs in one piece; null for a stack of blocks. */
  get whole(): string | null {
    return this.parts.whole
  }

  /** What requests run on. */
  get runnable(): Runnable {
    return this.parts.stack
  }

  /** Other ways to its numbers, for self-checks. */
  get opinions(): SecondOpinions {
    return this.parts.opinions
  }

  /** Its architecture and weights; null where it came as a graph. */
  get insides(): Insides | null {
    return this.parts.insides
  }

  /** The graphs that Patchbay built for it. @throws PatchbayError `model.unsupported` for an export, which has its own */
  get own(): LoadedModel {
    if (this.parts.own !== null) return this.parts.own
    throw new PatchbayError(
      'model.unsupported',
      `${this.description.name} runs on the graph that it was exported with.`,
      { next: 'Use a checkpoint (safetensors or GGUF) for this.' },
    )
  }

  run(input: RunInput, options: RunOptions = {}): Promise<RunResult> {
    const compute = (missing: RunInput, runOptions: RunOptions): Promise<RunResult> =>
      this.kept.disk.run(this, missing, (rest, restOptions) => this.compute(rest, restOptions), runOptions)
    return this.kept.captures.run(this.description.handle, input, compute, options)
  }

  /** What its numbers depend on besides the weights. */
  get identity(): NumericIdentity {
    return this.parts.description
  }

  /** Axes of a hook point, batch first; null where it holds one value for all rows. */
  axes(hook: string): readonly string[] | null {
    const { dims, shared } = this.parts.stack.hook(hook)
    return shared ? null : dims
  }

  /** A run of the sessions, whatever is kept in memory and on disk. */
  compute(input: RunInput, options: RunOptions = {}): Promise<RunResult> {
    return executeRun(this.parts.stack, input, options)
  }

  async generate(input: GenerateInput, options: GenerateOptions = {}): Promise<GenerateResult> {
    const rows = await generate(this.parts.stack, input, {
      eos: this.tokenizer.eosIds,
      decode: (tokens) => this.tokenizer.decode(tokens),
      ...options,
    })
    const prompts = input.request.rows.map(({ tokens }) => tokens)
    const texts = await Promise.all(rows.map(({ tokens }, row) => this.continuation(prompts[row], tokens)))
    return { rows: rows.map((row, i) => ({ ...row, text: texts[i] })) }
  }

  readout(residuals: Tensor, options: ReadoutOptions): Promise<Readout> {
    return this.kept.readouts.read(this.description.handle, this.parts.head, residuals, options)
  }

  divergence(p: Tensor, q: Tensor, options: { signal?: AbortSignal } = {}): Promise<Float32Array> {
    return this.kept.readouts.divergence(this.description.handle, this.parts.head, p, q, options)
  }

  tokens(ids: readonly number[]): TokenInfo[] {
    return this.tokenizer.tokens(ids)
  }

  /** A prompt in this model's tokens. @throws PatchbayError `prompt.too-long` beyond the context length */
  async encode(prompt: PromptSpec, signal?: AbortSignal): Promise<EncodedPrompt> {
    const encoded = await this.tokenise(prompt, signal)
    const { contextLength, name } = this.description
    if (encoded.tokens.length > contextLength)
      throw new PatchbayError(
        'prompt.too-long',
        `The prompt has ${encoded.tokens.length} tokens, but ${name} reads at most ${contextLength}.`,
        { next: 'Shorten the prompt, or open a model with a longer context.', field: 'prompt' },
      )
    return encoded
  }

  /** A prompt in this model's tokens, however long. */
  tokenise(prompt: PromptSpec, signal?: AbortSignal): Promise<EncodedPrompt> {
    return this.tokenizer.encodePrompt(prompt, signal)
  }

  /** One parameter as stored, decoded to float32. @throws PatchbayError `input.invalid` for a name that is not there */
  async parameter(name: string): Promise<Tensor> {
    const entry = this.parts.checkpoint.tensors.get(name)
    if (entry === undefined)
      throw new PatchbayError(
        'input.invalid',
        `${this.description.name} has no parameter ${JSON.stringify(name)}.`,
        {
          field: 'parameter',
          next: 'Choose one that the model lists.',
        },
      )
    return { shape: entry.shape, data: await this.parts.checkpoint.readFloat32(name) }
  }

  async close(): Promise<void> {
    this.kept.captures.forget(this.description.handle)
    await this.parts.stack.release()
    await this.parts.head.release()
    await this.tokenizer.close()
    await this.parts.checkpoint.close()
  }

  /** What the generated tokens add to the prompt's text, without special tokens: some decoders treat a first token differently. */
  private async continuation(prompt: readonly number[], tokens: readonly number[]): Promise<string> {
    const decode = (ids: readonly number[]): Promise<string> =>
      this.tokenizer.decode(ids, { skipSpecialTokens: true })
    const [before, all] = await Promise.all([decode(prompt), decode([...prompt, ...tokens])])
    return all.startsWith(before) ? all.slice(before.length) : decode(tokens)
  }
}
