/** The models that this person has opened. */
import type { Engine } from '../engine'
import type { HandlerPart } from '../handler'

export const libraryHandlers = ({
  library,
  certificates,
}: Engine): HandlerPart<'library.list' | 'library.forget'> => ({
  'library.list': async () =>
    Promise.all(
      (await library.list()).map(async (entry) => ({
        ...entry,
        certificates: await certificates.combinations(entry.fingerprint),
      })),
    ),
  'library.forget': async ({ id }) => {
    await library.forget(id)
    return {}
  },
})
