/** The families that Patchbay knows. A new one is a file beside this and a line here. */
import { PatchbayError } from '../../../preload/errors'
import type { Checkpoint } from '../formats/checkpoint'
import { ggufString } from '../formats/gguf/values'
import type { TransformerSpec } from '../spec'
import type { Family, GgufFamily } from './family'
import { bloom } from './bloom'
import { cohere } from './cohere'
import { falcon } from './falcon'
import { gemma } from './gemma'
import { gemma2 } from './gemma2'
import { gemma3 } from './gemma3'
import { glm4 } from './glm4'
import { gpt2 } from './gpt2'
import { gptBigcode } from './gpt_bigcode'
import { gptNeo } from './gpt_neo'
import { gptNeox } from './gpt_neox'
import { gptOss } from './gpt_oss'
import { gptj } from './gptj'
import { granite } from './granite'
import { llama } from './llama'
import { mistral } from './mistral'
import { mixtral } from './mixtral'
import { mpt } from './mpt'
import { olmo } from './olmo'
import { olmo2 } from './olmo2'
import { opt } from './opt'
import { phi } from './phi'
import { phi3 } from './phi3'
import { qwen2 } from './qwen2'
import { qwen3 } from './qwen3'
import { qwen3Moe } from './qwen3_moe'
import { smollm3 } from './smollm3'
import { stablelm } from './stablelm'
import { starcoder2 } from './starcoder2'
import { ggufBloom } from './gguf/bloom'
import { ggufCommandR } from './gguf/command-r'
import { ggufFalcon } from './gguf/falcon'
import { ggufGemma } from './gguf/gemma'
import { ggufGemma2 } from './gguf/gemma2'
import { ggufGemma3 } from './gguf/gemma3'
import { ggufGlm4 } from './gguf/glm4'
import { ggufGptOss } from './gguf/gpt-oss'
import { ggufGpt2 } from './gguf/gpt2'
import { ggufGptNeox } from './gguf/gptneox'
import { ggufGranite } from './gguf/granite'
import { ggufLlama } from './gguf/llama'
import { ggufMpt } from './gguf/mpt'
import { ggufOlmo } from './gguf/olmo'
import { ggufOlmo2 } from './gguf/olmo2'
import { ggufPhi2 } from './gguf/phi2'
import { ggufPhi3 } from './gguf/phi3'
import { ggufQwen2 } from './gguf/qwen2'
import { ggufQwen3, ggufQwen3Moe } from './gguf/qwen3'
import { ggufSmollm3 } from './gguf/smollm3'
import { ggufStablelm } from './gguf/stablelm'
import { ggufStarcoder } from './gguf/starcoder'
import { ggufStarcoder2 } from './gguf/starcoder2'

/** By config.json, in the order of their names. */
export const families: readonly Family[] = [
  bloom,
  cohere,
  falcon,
  gemma,
  gemma2,
  gemma3,
  glm4,
  gpt2,
  gptBigcode,
  gptNeo,
  gptNeox,
  gptOss,
  gptj,
  granite,
  llama,
  mistral,
  mixtral,
  mpt,
  olmo,
  olmo2,
  opt,
  phi,
  phi3,
  qwen2,
  qwen3,
  qwen3Moe,
  smollm3,
  stablelm,
  starcoder2,
]

/** By GGUF metadata, in the order of their names. */
export const ggufFamilies: readonly GgufFamily[] = [
  ggufBloom,
  ggufCommandR,
  ggufFalcon,
  ggufGemma,
  ggufGemma2,
  ggufGemma3,
  ggufGlm4,
  ggufGptOss,
  ggufGpt2,
  ggufGptNeox,
  ggufGranite,
  ggufLlama,
  ggufMpt,
  ggufOlmo,
  ggufOlmo2,
  ggufPhi2,
  ggufPhi3,
  ggufQwen2,
  ggufQwen3,
  ggufQwen3Moe,
  ggufSmollm3,
  ggufStablelm,
  ggufStarcoder,
  ggufStarcoder2,
]

/**
 * The spec of a checkpoint.
 * @throws PatchbayError `model.unknown-architecture` naming what is missing, `model.unsupported` naming a setting
 */
export async function readSpec(checkpoint: Checkpoint): Promise<TransformerSpec> {
  if (checkpoint.format === 'gguf') {
    const name = ggufString(checkpoint.metadata, 'general.architecture')
    const family = ggufFamilies.find((f) => name !== undefined && f.architectures.includes(name))
    if (family === undefined)
      throw unknownArchitecture(
        name,
        'general.architecture',
        ggufFamilies.flatMap((f) => f.architectures),
      )
    return family.read(checkpoint)
  }
  const name = modelType(checkpoint.config)
  const family = families.find((f) => typeof name === 'string' && f.modelTypes.includes(name))
  if (family === undefined)
    throw unknownArchitecture(
      name,
      'model_type',
      families.flatMap((f) => f.modelTypes),
    )
  return family.read(checkpoint.config, checkpoint.tensors)
}

function modelType(config: unknown): unknown {
  if (config === undefined)
    throw new PatchbayError(
      'model.incomplete',
      'There is no config.json beside the weights, so the architecture is not known.',
      {
        next: 'Open the folder that holds config.json together with the weights.',
        field: 'config.json',
      },
    )
  return config !== null && typeof config === 'object' && 'model_type' in config
    ? config.model_type
    : undefined
}

function unknownArchitecture(name: unknown, field: string, known: readonly string[]): PatchbayError {
  const what =
    typeof name === 'string'
      ? `The architecture "${name.slice(0, 80)}" is not known: there is no description of its norms, positions, attention and MLP.`
      : `The model does not say which architecture it has (no "${field}").`
  return new PatchbayError('model.unknown-architecture', what, {
    next: `Patchbay reads ${known.toSorted().join(', ')}; the documentation says how to add a family.`,
    field,
  })
}
