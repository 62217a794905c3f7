/** Sweeps: activation patching, path patching, scrubbing. */
import { patchPaths } from '../../analysis/patching/paths'
import { scrub } from '../../analysis/patching/scrub'
import { siteRequest } from '../../analysis/patching/site-request'
import type { PatchingModel } from '../../analysis/patching/subject'
import { sweep } from '../../analysis/patching/sweep'
import type { Engine } from '../engine'
import type { HandlerPart } from '../handler'

export const sweepHandlers = ({
  models,
  waveSizes,
}: Engine): HandlerPart<'sweep.run' | 'sweep.paths' | 'sweep.scrub' | 'sweep.site'> => {
  const patching = async (handle: string): Promise<PatchingModel> => {
    const { facts, certificate, runnable } = await models.get(handle)
    return { facts, certificate, runnable, waveSize: waveSizes.of(handle) }
  }
  return {
    'sweep.run': async ({ model, tensors, order, known, ...request }, { signal, progress }) =>
      sweep(await patching(model), request, { tensors, order, known, signal, onProgress: progress }),
    'sweep.paths': async ({ model, tensors, order, known, ...request }, { signal, progress }) =>
      patchPaths(await patching(model), request, { tensors, order, known, signal, onProgress: progress }),
    'sweep.scrub': async ({ model, tensors, ...request }, { signal, progress }) =>
      scrub(await patching(model), request, { tensors, signal, onProgress: progress }),
    'sweep.site': async ({ model, tensors, site, pair, ...request }, { signal }) =>
      siteRequest(await patching(model), request, { index: site, which: pair, tensors, signal }),
  }
}
