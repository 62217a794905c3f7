/** The table of all handlers: each area gives its part, and the type makes sure that none is missing. */
import type { Engine } from '../engine'
import type { Handlers } from '../handler'
import { attributionHandlers } from './attribution'
import { certificateHandlers } from './certificates'
import { collectionHandlers } from './collections'
import { compareHandlers } from './compare'
import { datasetHandlers } from './datasets'
import { extractionHandlers } from './extraction'
import { hubHandlers } from './hub'
import { jobHandlers } from './jobs'
import { libraryHandlers } from './library'
import { modelHandlers } from './models'
import { presetHandlers } from './presets'
import { promptHandlers } from './prompts'
import { runHandlers } from './runs'
import { steerHandlers } from './steer'
import { sweepHandlers } from './sweep'
import { viewHandlers } from './views'

export function createHandlers(engine: Engine): Handlers {
  return {
    'engine.status': () => engine.status(),
    ...libraryHandlers(engine),
    ...hubHandlers(engine),
    ...certificateHandlers(engine),
    ...modelHandlers(engine),
    ...promptHandlers(engine),
    ...runHandlers(engine),
    ...viewHandlers(engine),
    ...compareHandlers(engine),
    ...attributionHandlers(engine),
    ...sweepHandlers(engine),
    ...collectionHandlers(engine),
    ...extractionHandlers(engine),
    ...jobHandlers(engine),
    ...datasetHandlers(engine),
    ...presetHandlers(engine),
    ...steerHandlers(engine),
  }
}
