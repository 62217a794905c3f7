/** What the Prompt and Layers views ask for. */
import { activationView } from '../../analysis/activation'
import { attentionLayer, attentionOverview } from '../../analysis/attention'
import { exportActivation } from '../../analysis/export'
import { lensCell, lensMap } from '../../analysis/lens'
import { nextTokens } from '../../analysis/next-tokens'
import type { Engine } from '../engine'
import type { HandlerPart } from '../handler'
import { runOptions } from './run-options'

type ViewCalls =
  | 'lens.map'
  | 'lens.cell'
  | 'attention.layer'
  | 'attention.overview'
  | 'logits.next'
  | 'activation.view'
  | 'activation.export'

export const viewHandlers = ({ models }: Engine): HandlerPart<ViewCalls> => ({
  'lens.map': async ({ model, tokens }, context) =>
    lensMap(await models.get(model), tokens, runOptions(context)),
  'lens.cell': async ({ model, tokens, ...cell }, context) =>
    lensCell(await models.get(model), tokens, cell, runOptions(context)),
  'attention.layer': async ({ model, tokens, layer }, context) =>
    attentionLayer(await models.get(model), tokens, layer, runOptions(context)),
  'attention.overview': async ({ model, tokens, side }, context) =>
    attentionOverview(await models.get(model), tokens, side, runOptions(context)),
  'logits.next': async ({ model, tokens, ...where }, context) =>
    nextTokens(await models.get(model), tokens, where, runOptions(context)),
  'activation.view': async ({ model, tokens, ...where }, context) =>
    activationView(await models.get(model), tokens, where, runOptions(context)),
  'activation.export': async ({ model, tokens, hook, format }, context) =>
    exportActivation(await models.get(model), tokens, { hook, format }, runOptions(context)),
})
