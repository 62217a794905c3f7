/** RunRequests and GenerateRequests as they are: what the command line and copied requests say. */
import { provenanceOf } from '../../analysis/evidence'
import type { Source } from '../../cache/memory'
import type { Engine } from '../engine'
import type { HandlerPart } from '../handler'

export const runHandlers = ({ models }: Engine): HandlerPart<'run.execute' | 'generate.execute'> => ({
  'run.execute': async ({ model: handle, request, tensors }, { signal, progress }) => {
    const model = await models.forRequest(request.model, handle)
    const input = { request, tensors }
    let sources: Readonly<Record<string, Source>> = {}
    const result = await model.run(input, {
      signal,
      onProgress: (done, total) => progress({ done, total }),
      onSources: (each) => (sources = each),
    })
    return { provenance: provenanceOf(model, input), ...result, sources: { ...sources } }
  },
  'generate.execute': async ({ model: handle, request, tensors }, { signal, progress }) => {
    const model = await models.forRequest(request.model, handle)
    const input = { request, tensors }
    const result = await model.generate(input, { signal, onStep: progress })
    return { provenance: provenanceOf(model, input), rows: result.rows }
  },
})
