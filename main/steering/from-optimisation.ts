/** A steering vector that was optimised, as a preset that says how it was made. */
import type { Preset } from '../../preload/preset'
import type { SteeringJob } from '../../preload/training'
import type { ModelFacts } from '../analysis/subject'
import { hashOf, presetModel } from './from-pairs'
import type { PresetWithVectors } from './preset-file'
import { idFromName } from './preset-store'
import { encodeVectorFile } from './vector-file'

/** Strengths in lengths of the vector: 1 is what it was optimised at, −1 its opposite. */
const STRENGTH = { default: 1, minimum: -2, maximum: 2 } as const

export type OptimisationRecipe = Pick<
  SteeringJob,
  'name' | 'author' | 'note' | 'bos' | 'template' | 'positions' | 'examples'
> & {
  /** By its canonical name. */
  hook: string
}

/**
 * @param vector [d_model], not zero
 * @param residualNorm mean L2 norm of the residual stream at the hook point, at the prompts' last tokens
 * @param created time stamp of the preset, ISO 8601 in UTC
 */
export function presetFromOptimisation(
  facts: ModelFacts,
  recipe: OptimisationRecipe,
  vector: Float32Array,
  residualNorm: number,
  created: string,
): PresetWithVectors {
  const { name, author, note, hook, positions, bos, template, examples } = recipe
  const file = encodeVectorFile(vector)
  const preset: Preset = {
    format: 'patchbay.preset',
    version: 1,
    id: idFromName(name),
    name,
    author,
    created,
    note,
    model: presetModel(facts),
    sites: [{ hook, operation: 'add', target: 0, vector: file.vector, positions }],
    strength: { ...STRENGTH },
    norm: { policy: 'as-is', residualNorm },
    prompting: { bos, template },
    origin: { method: 'optimised', pairs: examples.length, pairsHash: hashOf(examples), position: null },
    example: null,
  }
  return { preset, vectors: [file.bytes] }
}
