/** From text to the token ids that a model gets, and back. */
import type { Engine } from '../engine'
import type { HandlerPart } from '../handler'

export const promptHandlers = ({
  models,
}: Engine): HandlerPart<'prompt.encode' | 'tokens.describe' | 'tokens.find'> => ({
  'prompt.encode': async ({ model, prompt }, { signal }) => (await models.get(model)).encode(prompt, signal),
  'tokens.describe': async ({ model, ids }) => (await models.get(model)).tokens(ids),
  'tokens.find': async ({ model, text }, { signal }) => {
    const open = await models.get(model)
    return open.tokens(await open.tokenizer.encode(text, {}, signal))
  },
})
