/** Makes the bundled presets with a model: the same code that makes a person's own, with a recipe's say about the rest. */
import type { Preset } from '../../../preload/preset'
import { presetFromPairs } from '../from-pairs'
import { presetText } from '../preset-schema'
import type { SteeringModel } from '../subject'
import { sha256, vectorFileName } from '../vector-file'
import type { DifferenceVector } from '../vectors'
import type { Recipe } from './recipes'

/** Fixed, so that making them again gives the same files. */
const CREATED = '2026-01-01T00:00:00Z'

export interface MadePreset {
  preset: Preset
  measured: DifferenceVector
  /** Contents by path inside the presets' folder. */
  files: Map<string, Uint8Array>
}

export async function makeBundledPreset(model: SteeringModel, recipe: Recipe): Promise<MadePreset> {
  const { preset, vectors, measured } = await presetFromPairs(
    model,
    {
      hook: recipe.hook,
      pairs: recipe.pairs,
      position: recipe.position,
      name: recipe.name,
      author: 'Patchbay',
      note: recipe.note,
      positions: 'all',
      ...recipe.prompting,
    },
    CREATED,
  )
  const bundled: Preset = {
    ...preset,
    id: recipe.id,
    sites: preset.sites.map((site) => ({ ...site, operation: recipe.operation })),
    strength: recipe.strength,
    norm: { ...preset.norm, policy: recipe.norm },
    example: recipe.example,
  }
  return { preset: bundled, measured, files: filesOf(bundled, vectors) }
}

function filesOf(preset: Preset, vectors: readonly Uint8Array[]): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>([
    [`${preset.id}.json`, new TextEncoder().encode(presetText(preset))],
  ])
  for (const bytes of vectors) files.set(`vectors/${vectorFileName(sha256(bytes))}`, bytes)
  return files
}
