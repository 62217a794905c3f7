/** A steering vector made here: contrast pairs as a person writes them, to a preset that says how it was made. */
import { createHash } from 'node:crypto'
import { canonicalJson } from '../../preload/canonical'
import { hookName } from '../../preload/hooks'
import type { ContrastPair, Preset } from '../../preload/preset'
import type { PromptSpec } from '../../preload/prompt'
import { hookOf } from '../analysis/captures'
import type { ModelFacts } from '../analysis/subject'
import { throwIfCancelled } from '../runtime/cancelled'
import type { PresetWithVectors } from './preset-file'
import { idFromName } from './preset-store'
import type { SteeringModel } from './subject'
import { encodeVectorFile } from './vector-file'
import { readableText, type EncodedText, type TextPosition } from './text-activations'
import { meanDifference, type DifferenceVector } from './vectors'

export interface PairsRecipe {
  hook: string
  pairs: readonly ContrastPair[]
  position: TextPosition
  name: string
  author: string
  note: string
  bos: Preset['prompting']['bos']
  template: Preset['prompting']['template']
  positions: Preset['sites'][number]['positions']
}

/** The strengths that a new preset offers, in lengths of its vector: 1 moves the negative mean onto the positive one. */
const STRENGTH = { default: 1, minimum: -4, maximum: 4 } as const

/**
 * Computes the mean difference of the pairs and describes it as a preset that adds it at the same hook point. The id is made
 * of the name; the store sees to it that it is free.
 * @param created time stamp of the preset, ISO 8601 in UTC
 * @throws PatchbayError as `meanDifference` and `encode`
 */
export async function presetFromPairs(
  model: SteeringModel,
  recipe: PairsRecipe,
  created: string,
  options: { signal?: AbortSignal; onPairs?: (done: number, total: number) => void } = {},
): Promise<PresetWithVectors & { measured: DifferenceVector }> {
  const hook = hookName(hookOf(model, recipe.hook))
  const encode = async (text: string): Promise<EncodedText> => {
    throwIfCancelled(options.signal)
    return readableText(await model.encode(promptFor(text, recipe), options.signal))
  }
  const pairs = []
  for (const { positive, negative } of recipe.pairs)
    pairs.push({ positive: await encode(positive), negative: await encode(negative) })
  const measured = await meanDifference(model, hook, pairs, recipe.position, options)
  const { bytes, vector } = encodeVectorFile(measured.vector)
  const preset: Preset = {
    format: 'patchbay.preset',
    version: 1,
    id: idFromName(recipe.name),
    name: recipe.name,
    author: recipe.author,
    created,
    note: recipe.note,
    model: presetModel(model.facts),
    sites: [{ hook, operation: 'add', target: 0, vector, positions: recipe.positions }],
    strength: { ...STRENGTH },
    norm: { policy: 'as-is', residualNorm: measured.residualNorm },
    prompting: { bos: recipe.bos, template: recipe.template },
    origin: {
      method: 'mean-difference',
      pairs: recipe.pairs.length,
      pairsHash: hashOf(recipe.pairs),
      position: recipe.position,
    },
    example: null,
  }
  return { preset, vectors: [bytes], measured }
}

/** The model that a preset is for. */
export const presetModel = ({
  fingerprint,
  name,
  family,
  tokenizerHash,
  templateHash,
}: ModelFacts): Preset['model'] => ({ fingerprint, name, family, tokenizerHash, templateHash })

/** sha256 in hex of what a vector was made from. */
export const hashOf = (origin: unknown): string =>
  createHash('sha256').update(canonicalJson(origin)).digest('hex')

/** How a preset wants its prompts made: as they stand, or as a user's message in the model's own template. */
export const promptFor = (text: string, { bos, template }: Preset['prompting']): PromptSpec =>
  template === 'chat'
    ? { kind: 'chat', messages: [{ role: 'user', content: text }], addGenerationPrompt: true }
    : { kind: 'text', text, bos }
