/** Where a prediction comes from: parts of the model, tokens, differences between two prompts, edges. */
import { directAttribution } from '../../analysis/attribution/direct'
import { faithfulness } from '../../analysis/attribution/edges/faithfulness'
import { edgeAttribution } from '../../analysis/attribution/edges/score'
import { patch } from '../../analysis/attribution/patch'
import { attributionPatching } from '../../analysis/attribution/patching'
import { tokenAttribution } from '../../analysis/attribution/tokens'
import type { attributionCalls } from '../../../preload/attribution'
import type { Engine } from '../engine'
import type { HandlerPart } from '../handler'
import { runOptions } from './run-options'

export const attributionHandlers = ({ models }: Engine): HandlerPart<keyof typeof attributionCalls> => ({
  'attribution.direct': async ({ model, ...request }, context) =>
    directAttribution(await models.get(model), request, runOptions(context)),
  'attribution.tokens': async ({ model, ...request }, context) =>
    tokenAttribution(await models.get(model), request, runOptions(context)),
  'attribution.patching': async ({ model, ...request }, context) =>
    attributionPatching(await models.get(model), request, runOptions(context)),
  'attribution.patch': async ({ model, ...request }, context) =>
    patch(await models.get(model), request, runOptions(context)),
  'attribution.edges': async ({ model, ...request }, context) =>
    edgeAttribution(await models.get(model), request, runOptions(context)),
  'attribution.faithfulness': async ({ model, ...request }, context) =>
    faithfulness(await models.get(model), request, runOptions(context)),
})
