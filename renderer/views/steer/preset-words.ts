/** A preset in words: whether it fits the open model, and what it says about itself. */
import type { ModelDescription } from '../../../preload/model'
import type { Preset, PresetSite } from '../../../preload/preset'
import type { PromptSpec } from '../../../preload/prompt'
import { formatNumber } from '../../charts/numbers'

/** Why a preset can not be applied to a model, as the engine would say it; null where it can. */
export function misfit(preset: Preset, model: ModelDescription): string | null {
  const { model: made, prompting } = preset
  if (made.fingerprint !== model.fingerprint) return `Made for ${made.name}, another model.`
  if (made.tokenizerHash !== model.tokenizerHash) return `Made for ${made.name} with another tokenizer.`
  if (prompting.template === 'chat' && made.templateHash !== model.templateHash)
    return `Made for ${made.name} with another chat template.`
  return null
}

/** Where a site acts: "all positions", "positions 3, 5". */
export const positionsText = ({ positions }: PresetSite): string =>
  Array.isArray(positions)
    ? `positions ${positions.join(', ')}`
    : { all: 'all positions', prompt: 'the prompt', generated: 'generated tokens' }[positions]

/** What a site does, as a formula; s is the strength. */
export function operationText(site: PresetSite): string {
  switch (site.operation) {
    case 'add':
      return 'add: x + s·v'
    case 'remove':
      return 'remove: x − s·(x·d̂)d̂'
    case 'clamp':
      return `clamp: x·d̂ becomes ${formatNumber(site.target)}·s`
  }
}

export const normText = ({ norm }: Preset): string =>
  ({
    'as-is': 'as stored',
    unit: 'scaled to length 1',
    relative: `scaled to the residual norm when it was made (${norm.residualNorm === null ? 'unknown' : formatNumber(norm.residualNorm)})`,
  })[norm.policy]

export const promptingText = ({ prompting }: Preset): string =>
  prompting.template === 'chat'
    ? 'as a user’s message in the chat template'
    : `plain text, BOS ${{ model: 'as the model says', always: 'always', never: 'never' }[prompting.bos]}`

export function originText({ origin }: Preset): string {
  if (origin.method === 'imported') return 'imported'
  if (origin.method === 'optimised')
    return `optimised on ${origin.pairs} prompt${origin.pairs === 1 ? '' : 's'} with continuations`
  const at =
    origin.position === null
      ? ''
      : `, ${origin.position === 'last' ? 'last position' : 'mean over positions'}`
  return `mean difference of ${origin.pairs} contrast pair${origin.pairs === 1 ? '' : 's'}${at}`
}

/** Text as a prompt, made the way the preset was. */
export const promptFor = (text: string, { prompting }: Preset): PromptSpec =>
  prompting.template === 'chat'
    ? { kind: 'chat', messages: [{ role: 'user', content: text }], addGenerationPrompt: true }
    : { kind: 'text', text, bos: prompting.bos }

/** How a prompt is made otherwise than the preset was; null where it is not. */
export function promptMismatch(prompt: PromptSpec, preset: Preset): string | null {
  const { template, bos } = preset.prompting
  if ((prompt.kind === 'chat') !== (template === 'chat'))
    return template === 'chat'
      ? 'The preset was made with the chat template; this prompt is plain text.'
      : 'The preset was made with plain text; this prompt goes through the chat template.'
  if (prompt.kind === 'text' && prompt.bos !== bos)
    return `The preset was made with BOS “${bos}”; this prompt has “${prompt.bos}”.`
  return null
}

/** A step that gives about 200 places between minimum and maximum, as 1, 2 or 5 × 10ⁿ. */
export function strengthStep({ minimum, maximum }: Preset['strength']): number {
  const least = (maximum - minimum) / 200
  if (!(least > 0)) return 0.01
  const decade = 10 ** Math.floor(Math.log10(least))
  return decade * ([1, 2, 5].find((step) => step * decade >= least * 0.999) ?? 10)
}
