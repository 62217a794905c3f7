/** Whether Patchbay can open a model, as far as its description alone tells; the last word is had on opening it. */
import { z } from 'zod'
import type { Support } from '../../../preload/hub'
import { families, ggufFamilies } from '../architectures/registry'
import { quoted } from '../formats/malformed'

/** What of config.json tells what a model is. */
export const modelConfig = z.looseObject({
  model_type: z.string().max(500).nullish().catch(null),
  architectures: z.array(z.string().max(500)).max(100).nullish().catch(null),
  quantization_config: z.unknown().optional(),
})
export type ModelConfig = z.infer<typeof modelConfig>

const yes: Support = { canOpen: 'yes', reason: null }
const no = (reason: string): Support => ({ canOpen: 'no', reason })
export const notKnown = (reason: string): Support => ({ canOpen: 'unknown', reason })

export const noWeights = no(
  'It has no safetensors and no GGUF weights. Pickled ones (.bin, .pt) are programs, which Patchbay does not run.',
)

const unknownArchitecture = (name: string): Support =>
  no(`The architecture ${quoted(name)} is not among those that Patchbay knows.`)

/** A safetensors model, by its config.json. */
export function configSupport(config: ModelConfig | null): Support {
  if (config === null) return no('There is no config.json, so the architecture is not known.')
  const type = config.model_type ?? null
  if (type === null) return no('Its config.json does not say which architecture it has.')
  if (!families.some((family) => family.modelTypes.includes(type))) return unknownArchitecture(type)
  if ((config.quantization_config ?? null) !== null)
    return no(
      `Its weights are quantised (${quoted(method(config.quantization_config))}), which Patchbay reads only from GGUF.`,
    )
  return yes
}

const method = (quantisation: unknown): string => {
  const parsed = z.looseObject({ quant_method: z.string() }).safeParse(quantisation)
  return parsed.success ? parsed.data.quant_method : 'in a way it does not name'
}

/** A GGUF model, by its `general.architecture`; null where that is not known without the file. */
export function ggufSupport(architecture: string | null): Support {
  if (architecture === null)
    return notKnown('The architecture stands in the GGUF file, which is not here yet.')
  return ggufFamilies.some((family) => family.architectures.includes(architecture))
    ? yes
    : unknownArchitecture(architecture)
}
