/** Storyworld in the real runtime behind the interface of analysis and steering: what the engine's open model is, for tests. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { EncodedPrompt, PromptSpec, TokenInfo } from '../../preload/prompt'
import type { GenerateInput, RunInput, RunResult } from '../../preload/run'
import type { Tensor } from '../../preload/tensor'
import type {
  GenerateOptions,
  GenerateResult,
  ModelFacts,
  Readout,
  ReadoutOptions,
} from '../../main/analysis/subject'
import { CaptureMemory, type RunOptions } from '../../main/cache/memory'
import { readSpec } from '../../main/models/architectures/registry'
import { fingerprint } from '../../main/models/fingerprint'
import { openCheckpoint } from '../../main/models/formats/checkpoint'
import { loadTokenizerFromFolder, type Tokenizer } from '../../main/models/tokenizer'
import { generate } from '../../main/runtime/generate'
import { loadModel } from '../../main/runtime/load'
import { ReadoutHead } from '../../main/runtime/readout'
import { executeRun } from '../../main/runtime/request'
import type { BlockStack } from '../../main/runtime/stack'
import type { SteeringModel } from '../../main/steering/subject'
import { storyworld } from './naive-model'
import { factsOf } from '../support/facts'

export class RuntimeModel implements SteeringModel {
  readonly memory = new CaptureMemory(64 * 2 ** 20)

  private constructor(
    readonly facts: ModelFacts,
    private readonly stack: BlockStack,
    private readonly head: ReadoutHead,
    private readonly tokenizer: Tokenizer,
    private readonly cleanUp: () => Promise<void>,
  ) {}

  static async open(): Promise<RuntimeModel> {
    const cacheDir = mkdtempSync(path.join(tmpdir(), 'patchbay-'))
    const checkpoint = await openCheckpoint(storyworld)
    const spec = await readSpec(checkpoint)
    const print = await fingerprint(checkpoint)
    const loaded = await loadModel({
      checkpoint,
      spec,
      fingerprint: print,
      provider: 'cpu',
      precision: 'float32',
      cacheDir,
    })
    const tokenizer = await loadTokenizerFromFolder(storyworld)
    const head = new ReadoutHead({ spec, ...loaded })
    const { tokenizerHash, templateHash } = tokenizer
    const facts = factsOf(spec, { fingerprint: print, name: 'storyworld', tokenizerHash, templateHash })
    return new RuntimeModel(facts, loaded.stack, head, tokenizer, async () => {
      await head.release()
      await loaded.stack.release()
      await tokenizer.close()
      await checkpoint.close()
      rmSync(cacheDir, { recursive: true })
    })
  }

  close(): Promise<void> {
    return this.cleanUp()
  }

  run(input: RunInput, options: RunOptions = {}): Promise<RunResult> {
    return this.memory.run('storyworld', input, (request, o) => executeRun(this.stack, request, o), options)
  }

  async generate(input: GenerateInput, options: GenerateOptions = {}): Promise<GenerateResult> {
    const decode = (tokens: readonly number[]) => this.tokenizer.decode(tokens, { skipSpecialTokens: true })
    const rows = await generate(this.stack, input, { ...options, eos: this.tokenizer.eosIds, decode })
    return { rows: await Promise.all(rows.map(async (row) => ({ ...row, text: await decode(row.tokens) }))) }
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

  encode(prompt: PromptSpec): Promise<EncodedPrompt> {
    return this.tokenizer.encodePrompt(prompt)
  }

  async ids(text: string): Promise<number[]> {
    return this.tokenizer.encode(text)
  }
}
