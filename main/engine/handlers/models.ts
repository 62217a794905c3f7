/** Opening, describing and closing models; statistics of their weights. */
import { weightStatistics } from '../../analysis/weights'
import type { Engine } from '../engine'
import type { HandlerPart } from '../handler'
import { forecastModel } from '../forecast-model'
import { inspectExport } from '../open-export'

export const modelHandlers = ({
  models,
  assetsDir,
}: Engine): HandlerPart<
  'model.inspect' | 'model.forecast' | 'model.open' | 'model.describe' | 'model.close' | 'model.weights'
> => ({
  'model.inspect': ({ path }) => inspectExport(path),
  'model.forecast': (source) => forecastModel(source, assetsDir),
  'model.open': async (source, { signal, progress }) => {
    const model = await models.open(source, { signal, onProgress: progress })
    return model.description
  },
  'model.describe': async ({ model }) => (await models.get(model)).description,
  'model.close': async ({ model }) => {
    await models.close(model)
    return {}
  },
  'model.weights': async ({ model, parameter }, { signal }) => {
    const open = await models.get(model)
    const { shape, data } = await open.parameter(parameter)
    return weightStatistics(parameter, shape, data, signal)
  },
})
