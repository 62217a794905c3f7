/** What of a stored preset may be changed: everything but what was measured when it was made. */
import { canonicalJson } from '../../preload/canonical'
import { PatchbayError } from '../../preload/errors'
import { preset, type Preset } from '../../preload/preset'

/**
 * The stored preset with the edits of another version of it.
 * @throws PatchbayError `input.invalid` naming the field, where the edit does not fit the schema or would change the model,
 * the vectors, the sites' hook points, the measured norm or the origin
 */
export function editedPreset(stored: Preset, edit: Preset): Preset {
  const parsed = preset.safeParse(edit)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw refusal(issue.path.map(String).join('.'), `does not fit (${issue.message})`)
  }
  const before = measured(stored)
  const after = measured(parsed.data)
  for (const [field, value] of Object.entries(before))
    if (canonicalJson(value) !== canonicalJson(after[field]))
      throw refusal(field, 'was measured and can not be edited')
  return parsed.data
}

const measured = ({
  format,
  version,
  id,
  created,
  model,
  origin,
  norm,
  sites,
}: Preset): Record<string, unknown> => ({
  format,
  version,
  id,
  created,
  model,
  origin,
  'norm.residualNorm': norm.residualNorm,
  sites: sites.map(({ hook, vector }) => ({ hook, vector })),
})

const refusal = (field: string, problem: string): PatchbayError =>
  new PatchbayError('input.invalid', `The preset's ${field} ${problem}.`, {
    field: `preset.${field}`,
    next: 'Make a new preset instead, or leave the field as it was.',
  })
