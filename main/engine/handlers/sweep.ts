/** Sweeps: activation patching, path patching, scrubbing. */
import { patchPaths } from '../../analysis/patching/paths'
import { scrub } from '../../analysis/patching/scrub'
import { siteRequest } from '../../analysis/patching/site-request'
import type { PatchingModel } from '../../analysis/patching/subject'
import { sweep } from '../../analysis/patching/sweep'
import { sweepKey } from '../../cache/sweeps'
import { version } from '../../../package.json'
import type { Engine } from '../engine'
import type { HandlerPart } from '../handler'
import { keptSweep } from '../kept-sweep'

/** Numbers of another version are not mixed with this one's. */
const producer = `patchbay ${version}`

export const sweepHandlers = ({
  models,
  waveSizes,
  sweeps,
}: Engine): HandlerPart<'sweep.run' | 'sweep.paths' | 'sweep.scrub' | 'sweep.site'> => {
  const patching = async (handle: string): Promise<PatchingModel> => {
    const { facts, certificate, runnable } = await models.get(handle)
    return { facts, certificate, runnable, waveSize: waveSizes.of(handle) }
  }
  return {
    'sweep.run': async ({ model, tensors, order, known: given, ...request }, { signal, progress }) => {
      const subject = await patching(model)
      return keptSweep(sweeps, sweepKey({ model, producer, request: { sweep: request } }, tensors), {
        known: given,
        onProgress: progress,
        run: (known, onProgress) => sweep(subject, request, { tensors, order, known, signal, onProgress }),
      })
    },
    'sweep.paths': async ({ model, tensors, order, known: given, ...request }, { signal, progress }) => {
      const subject = await patching(model)
      return keptSweep(sweeps, sweepKey({ model, producer, request: { paths: request } }, tensors), {
        known: given,
        onProgress: progress,
        run: (known, onProgress) =>
          patchPaths(subject, request, { tensors, order, known, signal, onProgress }),
      })
    },
    'sweep.scrub': async ({ model, tensors, ...request }, { signal, progress }) =>
      scrub(await patching(model), request, { tensors, signal, onProgress: progress }),
    'sweep.site': async ({ model, tensors, site, pair, ...request }, { signal }) =>
      siteRequest(await patching(model), request, { index: site, which: pair, tensors, signal }),
  }
}
