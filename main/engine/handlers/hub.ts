/** Finding and fetching models by name. */
import type { Engine } from '../engine'
import type { HandlerPart } from '../handler'

type HubCalls = 'hub.search' | 'hub.plan' | 'hub.download' | 'hub.cached'

export const hubHandlers = ({ hub }: Engine): HandlerPart<HubCalls> => ({
  'hub.search': (search, { signal }) => hub.searchModels(search, signal),
  'hub.plan': (request, { signal }) => hub.planDownload(request, signal),
  'hub.download': (plan, { signal, progress }) => hub.download(plan, { signal, onProgress: progress }),
  'hub.cached': () => hub.listCached(),
})
