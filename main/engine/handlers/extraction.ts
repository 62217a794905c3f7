/** What an extraction would take, before it is started as a job. */
import { forecastExtraction } from '../../extraction/forecast'
import type { Engine } from '../engine'
import { directionsOf } from '../extraction'
import type { HandlerPart } from '../handler'

/** Rows between two notes of progress. */
const TOLD_EVERY = 50

export const extractionHandlers = ({
  models,
  activations,
  presets,
}: Engine): HandlerPart<'extraction.forecast'> => ({
  'extraction.forecast': async ({ handle, ...input }, { signal, progress }) =>
    forecastExtraction(await models.get(handle), input, {
      presetVectors: (id) => directionsOf(presets, id),
      store: await activations.store(),
      signal,
      onRows: (done) => {
        if (done % TOLD_EVERY === 0) progress({ done, total: null })
      },
    }),
})
