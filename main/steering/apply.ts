/** A preset at a strength, as the interventions that it stands for: the formulas of preload/preset.ts, and the norm policies. */
import { PatchbayError } from '../../preload/errors'
import { hookDims, isResidual } from '../../preload/hooks'
import type { Preset, PresetSite } from '../../preload/preset'
import type { Intervention } from '../../preload/run'
import { sizeOf, type Tensor } from '../../preload/tensor'
import { hookOf } from '../analysis/captures'
import type { AnalysisModel } from '../analysis/subject'

/** Gives the vector of a site, [d_model], its hash already checked. */
export type VectorOf = (site: PresetSite) => Tensor

export interface AppliedPreset {
  interventions: Intervention[]
  tensors: Record<string, Tensor>
}

/**
 * The interventions of a preset at `strength` s, with d̂ = v/‖v‖:
 * - add: x + s·v with v scaled by the norm policy: as it is stored, to length 1 (unit), or to the residual norm measured
 *   when the preset was made (relative: s = 0.1 adds a vector a tenth as long as the residual stream is there);
 * - remove: x − s·(x·d̂)d̂; clamp: x + (target·s − x·d̂)d̂. The norm policy has no say in these two.
 * At strength 0 add and remove change nothing and are left out.
 * @param rows batch rows that are steered
 * @throws PatchbayError `model.mismatch` for a preset of another model, `hook.*` for a site that this model does not
 * have, `input.invalid` for a vector or a strength that does not fit
 */
export function applyPreset(
  model: AnalysisModel,
  preset: Preset,
  strength: number,
  vectorOf: VectorOf,
  rows: Intervention['rows'] = 'all',
): AppliedPreset {
  checkModel(model, preset)
  if (!Number.isFinite(strength))
    throw new PatchbayError('input.invalid', `A strength of ${strength} is no number.`, {
      field: 'strength',
      next: 'Give a finite strength.',
    })
  const interventions: Intervention[] = []
  const tensors: Record<string, Tensor> = {}
  preset.sites.forEach((site, i) => {
    const operation = operationOf(preset, site, strength, `${preset.id}.${i}`)
    if (operation === null) return
    checkSite(model, preset, site)
    const vector = vectorOf(site)
    checkVector(model, preset, site, vector)
    tensors[`${preset.id}.${i}`] = vector
    interventions.push({ hook: site.hook, rows, positions: site.positions, operation })
  })
  return { interventions, tensors }
}

function operationOf(
  preset: Preset,
  site: PresetSite,
  strength: number,
  tensor: string,
): Intervention['operation'] | null {
  switch (site.operation) {
    case 'add': {
      const scale = strength * lengthFactor(preset, site)
      return scale === 0 ? null : { kind: 'add', value: tensor, scale }
    }
    case 'remove':
      return strength === 0 ? null : { kind: 'direction', direction: tensor, target: 0, amount: strength }
    case 'clamp':
      return { kind: 'direction', direction: tensor, target: site.target * strength, amount: 1 }
  }
}

/** What the stored vector is multiplied by before the strength. */
function lengthFactor({ norm, id }: Preset, site: PresetSite): number {
  switch (norm.policy) {
    case 'as-is':
      return 1
    case 'unit':
      return 1 / site.vector.norm
    case 'relative':
      if (norm.residualNorm === null)
        throw new PatchbayError(
          'input.invalid',
          `The preset ${id} is relative to a residual norm, but does not say which.`,
          { field: 'norm.residualNorm', next: 'Give the norm, or choose another norm policy.' },
        )
      return norm.residualNorm / site.vector.norm
  }
}

/** Throws `model.mismatch`, naming both models, where a preset was made for another model, tokenizer or chat template. */
export function checkModel({ facts }: AnalysisModel, preset: Preset): void {
  const made = preset.model
  const differs =
    made.fingerprint !== facts.fingerprint
      ? 'weights'
      : made.tokenizerHash !== facts.tokenizerHash
        ? 'tokenizer'
        : preset.prompting.template === 'chat' && made.templateHash !== facts.templateHash
          ? 'chat template'
          : null
  if (differs === null) return
  throw new PatchbayError(
    'model.mismatch',
    `The preset “${preset.name}” was made for ${made.name} (${made.fingerprint.slice(0, 12)}), whose ${differs} ` +
      `${differs === 'weights' ? 'are' : 'is'} not that of ${facts.name} (${facts.fingerprint.slice(0, 12)}).`,
    { field: 'preset', next: `Open ${made.name}, or make a preset for ${facts.name}.` },
  )
}

/** A vector can be added wherever the stream or an addend of it lies; directions exist on the stream itself only. */
function checkSite(model: AnalysisModel, preset: Preset, site: PresetSite): void {
  const point = hookOf(model, site.hook)
  const fits = site.operation === 'add' ? hookDims(point).join() === 'batch,pos,d_model' : isResidual(point)
  if (fits) return
  throw new PatchbayError(
    'hook.unavailable',
    `The preset “${preset.name}” can not ${site.operation} a vector at ${site.hook}.`,
    { field: 'sites', next: 'Use a preset whose sites are hook points of the residual stream.' },
  )
}

function checkVector({ facts }: AnalysisModel, preset: Preset, site: PresetSite, vector: Tensor): void {
  if (
    vector.shape.length === 1 &&
    vector.shape[0] === facts.dModel &&
    sizeOf(vector.shape) === vector.data.length
  )
    return
  throw new PatchbayError(
    'input.invalid',
    `The vector ${site.vector.tensor} of the preset “${preset.name}” has the shape [${vector.shape.join(', ')}]; ` +
      `${facts.name} needs [${facts.dModel}].`,
    { field: 'sites', next: 'The preset does not fit this model; make it again here.' },
  )
}
