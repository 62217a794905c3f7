/**
 * An open model: checkpoint, tokenizer, block stack and readout under one handle. It is what analysis and steering work
 * on; whether a run comes from the captures kept in memory or from the sessions is decided here.
 */
import path from 'node:path'
import { version } from '../../package.json'
import type { LoadProgress } from '../../preload/api'
import { PatchbayError } from '../../preload/errors'
import type { ModelDescription, ModelHandle, ModelLocation, ModelSource } from '../../preload/model'
import type { EncodedPrompt, PromptSpec, TokenInfo } from '../../preload/prompt'
import type { CertificateSummary, GenerateInput, RunInput, RunResult } from '../../preload/run'
import type { Tensor } from '../../preload/tensor'
import type { ParityModel } from '../analysis/parity/certificate'
import { exportOpinions, secondOpinions, type SecondOpinions } from '../analysis/parity/second-opinions'
import type { CertificateStore } from '../analysis/parity/store'
import type {
  GenerateOptions,
  GenerateResult,
  ModelFacts,
  Readout,
  ReadoutOptions,
  RunOptions,
} from '../analysis/subject'
import type { CaptureMemory } from '../cache/memory'
import { readSpec } from '../models/architectures/registry'
import { fingerprint } from '../models/fingerprint'
import { openCheckpoint, type Checkpoint } from '../models/formats/checkpoint'
import type { Library } from '../models/library'
import type { Tokenizer } from '../models/tokenizer'
import type { OnnxCheckpoint } from '../models/formats/onnx/checkpoint'
import { findOnnx, openOnnxModel } from '../models/formats/onnx/find'
import {
  executeRun,
  generate,
  loadExported,
  loadModel,
  ReadoutHead,
  type LoadedExport,
  type LoadedModel,
} from '../runtime'
import type { SteeringModel } from '../steering/subject'
import { describeModel } from './describe-model'
import { loadTokenizer } from './load-tokenizer'
import { describeExport } from './open-export'

/** What readouts may hold of logits under a memory budget. */
const READOUT_BYTES_WHERE_SCARCE = 32 * 2 ** 20

export interface OpenModelContext {
  assetsDir: string
  cacheDir: string
  captures: CaptureMemory
  library: Library
  certificates: CertificateStore
}

export interface OpenOptions {
  signal?: AbortSignal
  onProgress?: (progress: LoadProgress) => void
}

/** Everything that an open model is made of. */
interface Parts {
  place: string
  description: ModelDescription
  checkpoint: Pick<Checkpoint, 'tensors' | 'readFloat32' | 'close'>
  tokenizer: Tokenizer
  loaded: LoadedModel | LoadedExport
}

export class OpenModel implements SteeringModel, ParityModel {
  readonly description: ModelDescription
  /** The file or folder that was opened. */
  readonly place: string
  readonly facts: ModelFacts
  readonly tokenizer: Tokenizer
  readonly loaded: LoadedModel | LoadedExport
  /** Other ways to its numbers, for self-checks. */
  readonly opinions: SecondOpinions
  /** What is known of its numbers; goes with every result. */
  certificate: CertificateSummary | null = null
  private readonly checkpoint: Parts['checkpoint']
  private readonly head: Pick<ReadoutHead, 'read' | 'divergence' | 'release'>

  constructor(
    parts: Parts,
    private readonly captures: CaptureMemory,
  ) {
    const { place, description, checkpoint, tokenizer, loaded } = parts
    this.place = place
    this.description = description
    this.checkpoint = checkpoint
    this.tokenizer = tokenizer
    this.loaded = loaded
    this.opinions = 'readout' in loaded ? exportOpinions(loaded) : secondOpinions(loaded)
    this.facts = {
      ...description,
      hooks: new Set(description.hookPoints.map(({ name }) => name)),
      patchbay: version,
    }
    if ('readout' in loaded) {
      this.head = loaded.readout
      return
    }
    const { weights, lowering, provider, stack, memoryBudget } = loaded
    const scarce = memoryBudget === null ? {} : { transient: true, budget: READOUT_BYTES_WHERE_SCARCE }
    this.head = new ReadoutHead({ spec: stack.spec, weights, lowering, provider, ...scarce })
  }

  /** The graphs that Patchbay built for it. @throws PatchbayError `model.unsupported` for an export, which has its own */
  get own(): LoadedModel {
    if (!('readout' in this.loaded)) return this.loaded
    throw new PatchbayError(
      'model.unsupported',
      `${this.description.name} runs on the graph that it was exported with.`,
      { next: 'Use a checkpoint (safetensors or GGUF) for this.' },
    )
  }

  run(input: RunInput, options: RunOptions = {}): Promise<RunResult> {
    const compute = (missing: RunInput, runOptions: RunOptions): Promise<RunResult> =>
      this.compute(missing, runOptions)
    return this.captures.run(this.description.handle, input, compute, options)
  }

  /** A run of the sessions, whatever is kept in memory. */
  compute(input: RunInput, options: RunOptions = {}): Promise<RunResult> {
    return executeRun(this.loaded.stack, input, options)
  }

  async generate(input: GenerateInput, options: GenerateOptions = {}): Promise<GenerateResult> {
    const rows = await generate(this.loaded.stack, input, {
      eos: this.tokenizer.eosIds,
      decode: (tokens) => this.tokenizer.decode(tokens),
      ...options,
    })
    const prompts = input.request.rows.map(({ tokens }) => tokens)
    const texts = await Promise.all(rows.map(({ tokens }, row) => this.continuation(prompts[row], tokens)))
    return { rows: rows.map((row, i) => ({ ...row, text: texts[i] })) }
  }

  readout(residuals: Tensor, options: ReadoutOptions): Promise<Readout> {
    return this.head.read(residuals, options)
  }

  divergence(p: Tensor, q: Tensor, options: { signal?: AbortSignal } = {}): Promise<Float32Array> {
    return this.head.divergence(p, q, options)
  }

  tokens(ids: readonly number[]): TokenInfo[] {
    return this.tokenizer.tokens(ids)
  }

  /** A prompt in this model's tokens. @throws PatchbayError `prompt.too-long` beyond the context length */
  async encode(prompt: PromptSpec, signal?: AbortSignal): Promise<EncodedPrompt> {
    const encoded = await this.tokenizer.encodePrompt(prompt, signal)
    const { contextLength, name } = this.description
    if (encoded.tokens.length > contextLength)
      throw new PatchbayError(
        'prompt.too-long',
        `The prompt has ${encoded.tokens.length} tokens, but ${name} reads at most ${contextLength}.`,
        { next: 'Shorten the prompt, or open a model with a longer context.', field: 'prompt' },
      )
    return encoded
  }

  /** One parameter as stored, decoded to float32. @throws PatchbayError `input.invalid` for a name that is not there */
  async parameter(name: string): Promise<Tensor> {
    const entry = this.checkpoint.tensors.get(name)
    if (entry === undefined)
      throw new PatchbayError(
        'input.invalid',
        `${this.description.name} has no parameter ${JSON.stringify(name)}.`,
        {
          field: 'parameter',
          next: 'Choose one that the model lists.',
        },
      )
    return { shape: entry.shape, data: await this.checkpoint.readFloat32(name) }
  }

  async close(): Promise<void> {
    this.captures.forget(this.description.handle)
    await this.loaded.stack.release()
    await this.head.release()
    await this.tokenizer.close()
    await this.checkpoint.close()
  }

  /** What the generated tokens add to the prompt's text, without special tokens: some decoders treat a first token differently. */
  private async continuation(prompt: readonly number[], tokens: readonly number[]): Promise<string> {
    const decode = (ids: readonly number[]): Promise<string> =>
      this.tokenizer.decode(ids, { skipSpecialTokens: true })
    const [before, all] = await Promise.all([decode(prompt), decode([...prompt, ...tokens])])
    return all.startsWith(before) ? all.slice(before.length) : decode(tokens)
  }
}

/**
 * Opens a model from its files. Progress is said over the whole loading.
 * @param existing an open model of that handle, which is then returned instead of a second one
 * @throws PatchbayError what reading, the architecture, the tokenizer or the sessions find wrong; nothing stays open then
 */
export async function openModel(
  source: ModelSource,
  context: OpenModelContext,
  { signal, onProgress }: OpenOptions,
  existing: (handle: ModelHandle) => OpenModel | undefined,
): Promise<OpenModel> {
  const report = (stage: LoadProgress['stage'], part: number, detail = ''): void => {
    const [start, end] = spans[stage]
    onProgress?.({ stage, fraction: start + (end - start) * part, detail })
  }
  const { location } = source
  const place = placeOf(location, context.assetsDir)
  report('reading', 0, path.basename(place))
  const exported = (await findOnnx(place)) === null ? null : await openOnnxModel(place)
  const checkpoint = exported ?? (await openCheckpoint(place))
  const undo: (() => Promise<unknown>)[] = [() => checkpoint.close()]
  const notes: string[] = []
  try {
    const print = await fingerprint(checkpoint, {
      cacheFile: path.join(context.cacheDir, 'digests.json'),
      onCacheFailure: (error) => notes.push(`Digests could not be kept: ${error.message}`),
      signal,
      onProgress: (done, total) => report('hashing', total === 0 ? 1 : done / total),
    })
    const opening = { source, place, context, undo, fingerprint: print, signal, report }
    const { description, tokenizer, loaded } =
      exported === null ? await openOwn(checkpoint, opening) : await openExport(exported, opening)
    const open = existing(description.handle)
    if (open !== undefined) await unwind(undo)
    const parts = { place, description, checkpoint, tokenizer, loaded }
    const model = open ?? new OpenModel(parts, context.captures)
    model.certificate = await context.certificates.summary(description)
    await context.library.remember({
      name: description.name,
      location,
      family: description.family,
      format: description.format,
      fingerprint: print,
      parameterCount: description.parameterCount,
      lastOpened: new Date().toISOString(),
    })
    return model
  } catch (error) {
    await unwind(undo)
    throw error
  }
}

/** What both ways of opening a model need. */
interface Opening {
  source: ModelSource
  place: string
  context: OpenModelContext
  undo: (() => Promise<unknown>)[]
  fingerprint: string
  signal: AbortSignal | undefined
  report: (stage: LoadProgress['stage'], part: number) => void
}

/** A checkpoint that Patchbay builds the graphs for. */
async function openOwn(checkpoint: Checkpoint, opening: Opening) {
  const { source, place, context, undo, fingerprint: print, signal, report } = opening
  const spec = await readSpec(checkpoint)
  report('tokenizer', 0)
  const tokenizer = await loadTokenizer(checkpoint, place, spec.vocab)
  undo.push(() => tokenizer.close())
  const loaded = await loadModel({
    checkpoint,
    spec,
    fingerprint: print,
    provider: source.provider,
    precision: source.precision,
    memoryBudget: source.memoryBudget,
    cacheDir: context.cacheDir,
    signal,
    onProgress: ({ stage, fraction }) => report(stage, fraction),
  })
  undo.push(() => loaded.stack.release())
  const description = describeModel({
    source,
    place,
    checkpoint,
    spec,
    tokenizer,
    loaded,
    fingerprint: print,
  })
  return { description, tokenizer, loaded }
}

/** A graph that somebody else exported. */
async function openExport(checkpoint: OnnxCheckpoint, opening: Opening) {
  const { source, place, undo, fingerprint: print, signal, report } = opening
  const loaded = await loadExported(checkpoint, source.provider, { signal, onProgress: report })
  undo.push(() => loaded.stack.release())
  report('tokenizer', 0)
  const tokenizer = await loadTokenizer(checkpoint, checkpoint.files[0], loaded.stack.vocab)
  undo.push(() => tokenizer.close())
  const description = describeExport({ source, place, checkpoint, tokenizer, loaded, fingerprint: print })
  return { description, tokenizer, loaded }
}

/** The file or folder that a location means. */
export const placeOf = (location: ModelLocation, assetsDir: string): string =>
  location.kind === 'embedded' ? path.join(assetsDir, 'models', 'storyworld') : location.path

/** Closes in reverse order what was opened. */
async function unwind(undo: readonly (() => Promise<unknown>)[]): Promise<void> {
  for (const close of [...undo].reverse()) await close()
}

/** Where each stage lies in the whole loading: decoding weights and compiling take nearly all of it. */
const spans: Record<LoadProgress['stage'], readonly [number, number]> = {
  reading: [0, 0.02],
  hashing: [0.02, 0.15],
  tokenizer: [0.15, 0.2],
  'preparing weights': [0.2, 0.6],
  'testing provider': [0.6, 0.62],
  compiling: [0.62, 1],
}
