/** Two prompts side by side. */
import { compareAttention, comparePrompts } from '../../analysis/compare'
import type { Engine } from '../engine'
import type { HandlerPart } from '../handler'
import { runOptions } from './run-options'

export const compareHandlers = ({
  models,
}: Engine): HandlerPart<'compare.prompts' | 'compare.attention'> => ({
  'compare.prompts': async ({ model, left, right }, context) =>
    comparePrompts(await models.get(model), left, right, runOptions(context)),
  'compare.attention': async ({ model, left, right, layer }, context) =>
    compareAttention(await models.get(model), left, right, layer, runOptions(context)),
})
