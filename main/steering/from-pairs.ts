/** A steering vector made here: contrast pairs as a person writes them, to a preset that says how it was made. */
import { createHash } from 'node:crypto'
import { canonicalJson } from '../../preload/canonical'
import { hookName } from '../../preload/hooks'
import type { ContrastPair, Preset } from '../../preload/preset'
import type { EncodedPrompt, PromptSpec } from '../../preload/prompt'
import { hookOf } from '../analysis/captures'
import { throwIfCancelled } from '../runtime/cancelled'
import type { PresetWithVectors } from './preset-file'
import { idFromName } from './preset-store'
import type { SteeringModel } from './subject'
import { encodeVectorFile } from './vector-file'
import { meanDifference, type DifferenceVector, type EncodedText, type TextPosition } from './vectors'

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
    return readable(await model.encode(promptFor(text, recipe), options.signal))
  }
  const pairs = []
  for (const { positive, negative } of recipe.pairs)
    pairs.push({ positive: await encode(positive), negative: await encode(negative) })
  const measured = await meanDifference(model, hook, pairs, recipe.position, options)
  const { bytes, vector } = encodeVectorFile(measured.vector)
  const { facts } = model
  const preset: Preset = {
    format: 'patchbay.preset',
    version: 1,
    id: idFromName(recipe.name),
    name: recipe.name,
    author: recipe.author,
    created,
    note: recipe.note,
    model: {
      fingerprint: facts.fingerprint,
      name: facts.name,
      family: facts.family,
      tokenizerHash: facts.tokenizerHash,
      templateHash: facts.templateHash,
    },
    sites: [{ hook, operation: 'add', target: 0, vector, positions: recipe.positions }],
    strength: { ...STRENGTH },
    norm: { policy: 'as-is', residualNorm: measured.residualNorm },
    prompting: { bos: recipe.bos, template: recipe.template },
    origin: {
      method: 'mean-difference',
      pairs: recipe.pairs.length,
      pairsHash: createHash('sha256').update(canonicalJson(recipe.pairs)).digest('hex'),
      position: recipe.position,
    },
    example: null,
  }
  return { preset, vectors: [bytes], measured }
}

/** How a preset wants its prompts made: as they stand, or as a user's message in the model's own template. */
export const promptFor = (text: string, { bos, template }: Preset['prompting']): PromptSpec =>
  template === 'chat'
    ? { kind: 'chat', messages: [{ role: 'user', content: text }], addGenerationPrompt: true }
    : { kind: 'text', text, bos }

/**
 * A first special token (BOS, or the template's opening) is the same in all texts and, as an attention sink, many times
 * longer than the others, so a mean leaves it out.
 */
const readable = ({ tokens }: EncodedPrompt): EncodedText => ({
  tokens: tokens.map(({ id }) => id),
  skip: tokens[0]?.special ? 1 : 0,
})
