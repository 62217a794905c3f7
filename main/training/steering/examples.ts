/** What a steering vector is optimised for: continuations of prompts that should become likelier, and others that should not. */
import { z } from 'zod'
import { PatchbayError } from '../../../preload/errors'
import { tokenIds } from '../../../preload/run'

export const steeringExample = z.object({
  prompt: tokenIds,
  continuation: tokenIds,
  aim: z.enum(['raise', 'lower']),
})
export type SteeringExample = z.infer<typeof steeringExample>

/** Where the vector is added: at all positions, those of the prompt, or those behind it. */
export const steeredPositions = z.enum(['all', 'prompt', 'generated'])
export type SteeredPositions = z.infer<typeof steeredPositions>

/** Positions of an example's row, from `first` on. */
export function positionsOf(
  { prompt, continuation }: SteeringExample,
  where: SteeredPositions,
  first: number,
): number[] {
  const from = Math.max(first, where === 'generated' ? prompt.length : 0)
  const to = where === 'prompt' ? prompt.length : prompt.length + continuation.length
  return Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i)
}

/**
 * @throws PatchbayError `input.invalid` for no examples, or one in which the vector is added nowhere that its continuation
 *   could notice
 */
export function checkSteeringExamples(
  examples: readonly SteeringExample[],
  where: SteeredPositions,
  first: number,
): void {
  if (examples.length === 0)
    throw new PatchbayError('input.invalid', 'There are no examples to optimise a steering vector for.', {
      next: 'Give prompts with continuations that should become likelier.',
    })
  examples.forEach((example, i) => {
    const last = example.prompt.length + example.continuation.length - 1
    if (positionsOf(example, where, first).some((position) => position < last)) return
    throw new PatchbayError(
      'input.invalid',
      `In example ${i} the vector would be added nowhere before the last token of its continuation.`,
      { field: `examples.${i}`, next: 'Steer at other positions, or give a longer continuation.' },
    )
  })
}
