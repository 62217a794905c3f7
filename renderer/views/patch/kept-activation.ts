/** Activations that a collection keeps, as a source: of one row, at every layer at which it keeps the component. */
import type { CallOutput } from '../../../preload/api'
import type { Collection } from '../../../preload/collections'
import { PatchbayError } from '../../../preload/errors'
import { hookDims, parseHook } from '../../../preload/hooks'
import { componentSites, type SweepComponent } from '../../../preload/sweep'
import { sizeOf, type Tensor } from '../../../preload/tensor'

/** One rule by which a component was kept: positions, and what was done to them. */
export interface KeptRule {
  /** As outputs are named behind their hook point; empty for all positions as they are. */
  name: string
  label: string
  /** Output and hook point of each layer that is kept. */
  outputs: readonly { name: string; hook: string }[]
  /** Whether positions are apart. */
  positions: boolean
}

/** Reductions that leave an activation an activation. */
const whole = new Set(['none', 'mean', 'max'])

/** Outputs that hold activations of this component; of what has two position axes nothing can be put elsewhere. */
export function keptRules({ outputs }: Pick<Collection, 'outputs'>, component: SweepComponent): KeptRule[] {
  const rules = new Map<string, KeptRule>()
  for (const { name, hook, asked, dims } of outputs) {
    const point = parseHook(hook)
    if (point === null || point.site !== componentSites[component]) continue
    const [first, ...inner] = hookDims(point).slice(1)
    const positions = dims[0] === 'pos'
    const own = positions ? dims.slice(1) : dims
    if (first !== 'pos' || !whole.has(asked.reduction.kind) || own.join() !== inner.join()) continue
    const rule = name.slice(hook.length)
    const { outputs: before = [] } = rules.get(rule) ?? {}
    rules.set(rule, {
      name: rule,
      label: rule === '' ? 'all positions' : rule,
      outputs: [...before, { name, hook }],
      positions,
    })
  }
  return [...rules.values()]
}

/** Which of a row's positions is put in: each at its own place, their mean everywhere, or one everywhere. */
export type KeptPart = 'each' | 'mean' | 'one'

const refuse = (problem: string, next: string): PatchbayError =>
  new PatchbayError('input.invalid', `${problem}.`, { next })

/**
 * @param answer what is kept of a row at one output
 * @param at the one position, in the row; negative from its end
 * @returns [pos, …] for `each`, else […] for every position
 * @throws PatchbayError `input.invalid` where that was not kept
 */
export function keptTensor(
  { values, positions, tokens }: CallOutput<'collections.tokens'>,
  rule: KeptRule,
  part: KeptPart,
  at: number,
): Tensor {
  if (values === null)
    throw refuse('The row keeps more numbers than travel with a sweep', 'Choose a shorter row.')
  if (!values.data.every(Number.isFinite))
    throw refuse('The row keeps numbers that are not finite', 'Choose another row.')
  if (!rule.positions) return values
  const shape = values.shape.slice(1)
  const size = sizeOf(shape)
  const kept = Array.from(positions)
  switch (part) {
    case 'each':
      if (kept.length > 0 && kept.every((position, i) => position === i)) return values
      throw refuse(
        'Not every position of the row from the first on is kept',
        'Put one position in, or the mean.',
      )
    case 'mean': {
      const mean = Float32Array.from({ length: size }, (_, i) => {
        let sum = 0
        for (let row = 0; row < kept.length; row++) sum += values.data[row * size + i]
        return sum / kept.length
      })
      if (kept.length > 0) return { shape, data: mean }
      throw refuse('No position of the row is kept', 'Choose another row.')
    }
    case 'one': {
      const position = at < 0 ? tokens.length + at : at
      const row = kept.indexOf(position)
      if (row !== -1) return { shape, data: values.data.slice(row * size, (row + 1) * size) }
      throw refuse(
        `Position ${at} of the row is not kept: it has ${tokens.length} tokens`,
        `Positions count from 0, negative ones from the end${kept.length === 0 ? '' : `; kept are ${kept.slice(0, 8).join(', ')}${kept.length > 8 ? ', …' : ''}`}.`,
      )
    }
  }
}
