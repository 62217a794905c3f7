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
import { patchingModel } from './patching-model'
import { runOptions } from './run-options'

export const attributionHandlers = (engine: Engine): HandlerPart<keyof typeof attributionCalls> => ({
  'attribution.direct': async ({ model, ...request }, context) =>
    directAttribution(await engine.models.get(model), request, runOptions(context)),
  'attribution.tokens': async ({ model, ...request }, context) =>
    tokenAttribution(await engine.models.get(model), request, runOptions(context)),
  'attribution.patching': async ({ model, ...request }, context) =>
    attributionPatching(await engine.models.get(model), request, runOptions(context)),
  'attribution.patch': async ({ model, ...request }, context) =>
    patch(await patchingModel(engine, model), request, runOptions(context)),
  'attribution.edges': async ({ model, ...request }, context) =>
    edgeAttribution(await engine.models.get(model), request, runOptions(context)),
  'attribution.faithfulness': async ({ model, ...request }, context) =>
    faithfulness(await engine.models.get(model), request, runOptions(context)),
})
