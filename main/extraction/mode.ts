/** Which of the two ways an extraction goes. */
import { PatchbayError } from '../../preload/errors'
import type { ExtractJob } from '../../preload/extraction'
import { BlockStack } from '../runtime'
import type { ExtractionModel } from './subject'

export interface ChosenMode {
  readonly mode: Exclude<ExtractJob['mode'], 'auto'>
  /** Why, in a sentence. */
  readonly note: string
}

/**
 * auto: block by block where the model's blocks do not all stay in memory.
 * @throws PatchbayError `model.unsupported` for block by block with a graph that somebody else exported
 */
export function chooseMode({ runnable, facts }: ExtractionModel, asked: ExtractJob['mode']): ChosenMode {
  const stack = runnable instanceof BlockStack ? runnable : null
  if (asked === 'layer-major' && stack === null)
    throw new PatchbayError(
      'model.unsupported',
      `${facts.name} runs on the graph that it was exported with, which can not be run block by block.`,
      { field: 'mode', next: 'Extract row-major, or open the checkpoint that it was exported from.' },
    )
  if (asked !== 'auto') return { mode: asked, note: `It runs ${asked}, as asked for.` }
  if (stack === null)
    return { mode: 'row-major', note: 'It runs row-major: an exported graph runs as a whole.' }
  return stack.unlimited
    ? { mode: 'row-major', note: 'It runs row-major: the whole model fits into memory.' }
    : {
        mode: 'layer-major',
        note: 'It runs layer-major: the model’s blocks do not all fit into memory, so each is loaded once for all rows.',
      }
}
