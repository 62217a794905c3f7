/** The hook points that training reads: those with as many numbers at each position, whatever the prompt. */
import { hookName, parseHook, siteMeaning } from '../../../preload/hooks'
import type { HookPointInfo, ModelDescription } from '../../../preload/model'
import type { SelectOption } from '../../components/select-option'

const isPositionwise = ({ dims, sizes }: HookPointInfo): boolean =>
  dims[1] === 'pos' && dims[2] !== 'one' && sizes.length > 2 && sizes.slice(2).every((size) => size !== null)

/** Sites of blocks that the model has, such as `hook_resid_post`. */
export function siteChoices(model: ModelDescription): SelectOption<string>[] {
  const sites = new Map<string, SelectOption<string>>()
  for (const info of model.hookPoints) {
    const point = isPositionwise(info) ? parseHook(info.name) : null
    if (point !== null && point.layer !== null)
      sites.set(point.site, { value: point.site, label: point.site, hint: siteMeaning[point.site] })
  }
  return [...sites.values()]
}

/** A site of a block by name. */
export const hookAt = (layer: number, site: string): string => `blocks.${layer}.${site}`

/** Whether the model has it: parallel blocks have no point between attention and MLP, for instance. */
export const hasHook = (model: ModelDescription, name: string): boolean =>
  model.hookPoints.some((info) => {
    const point = parseHook(info.name)
    return info.name === name || (point !== null && hookName(point) === name)
  })

/** The residual stream behind each block. */
export const behindBlocks = (model: ModelDescription): SelectOption<string>[] =>
  Array.from({ length: model.layers }, (_, i) => ({
    value: hookAt(i, 'hook_resid_post'),
    label: `Behind block ${i}`,
  }))

export const middleLayer = ({ layers }: ModelDescription): number => Math.max(0, Math.floor((layers - 1) / 2))
