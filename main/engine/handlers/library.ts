/** The models that this person has opened. */
import type { Engine } from '../engine'
import type { HandlerPart } from '../handler'

export const libraryHandlers = ({ library }: Engine): HandlerPart<'library.list' | 'library.forget'> => ({
  'library.list': () => library.list(),
  'library.forget': async ({ id }) => {
    await library.forget(id)
    return {}
  },
})
