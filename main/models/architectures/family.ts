/** What an architecture file exports: how to read a model of its family into a spec. */
import type { Checkpoint } from '../formats/checkpoint'
import type { TransformerSpec } from '../spec'
import type { TensorNames } from './parts'

/** A family as Hugging Face's `config.json` describes it. */
export interface Family {
  /** Registry name, as in `TransformerSpec.family`. */
  readonly name: string
  /** For people. */
  readonly label: string
  /** The `model_type`s of config.json that it reads. */
  readonly modelTypes: readonly string[]
  /**
   * @param config the parsed config.json
   * @throws PatchbayError `model.unsupported`, naming the setting that is not understood
   */
  read(config: unknown, tensors: TensorNames): TransformerSpec
}

/** A family as GGUF's metadata describes it. */
export interface GgufFamily {
  readonly name: string
  readonly label: string
  /** Other families that GGUF files under the same architecture. */
  readonly also?: readonly string[]
  /** The values of `general.architecture` that it reads. */
  readonly architectures: readonly string[]
  read(checkpoint: Checkpoint): TransformerSpec | Promise<TransformerSpec>
}
