/** Sweeps: activation patching, path patching, scrubbing. */
import { patchPaths } from '../../analysis/patching/paths'
import { scrub } from '../../analysis/patching/scrub'
import { senderRequest, siteRequest } from '../../analysis/patching/site-request'
import type { PatchingModel } from '../../analysis/patching/subject'
import { sweep } from '../../analysis/patching/sweep'
import { openFeatures, type OpenFeatures } from '../../training/dictionary/feature-dictionary'
import { sweepKey } from '../../cache/sweeps'
import { version } from '../../../package.json'
import type { Tensor } from '../../../preload/tensor'
import type { SweepTarget } from '../../../preload/sweep'
import type { Engine } from '../engine'
import type { HandlerPart } from '../handler'
import { keptSweep } from '../kept-sweep'
import { patchingModel } from './patching-model'

/** Numbers of another version are not mixed with this one's. */
const producer = `patchbay ${version}`

/** Names what a sweep computes; a dictionary by what is in it, not by where it lies. */
function keyOf(
  kind: 'sweep' | 'paths',
  request: { readonly target: SweepTarget },
  { model, tensors, dictionary }: Computed,
): string {
  const named =
    dictionary === null ? request : { ...request, target: { ...request.target, dictionary: dictionary.hash } }
  return sweepKey({ model, producer, request: { [kind]: named } }, tensors)
}

interface Computed {
  readonly model: string
  readonly tensors: Readonly<Record<string, Tensor>>
  readonly dictionary: OpenFeatures | null
}

/** Opens the dictionary that a target names, for as long as it is used. */
async function withDictionary<T>(
  target: SweepTarget,
  use: (dictionary: OpenFeatures | null) => Promise<T>,
): Promise<T> {
  if (target.kind !== 'features') return use(null)
  const dictionary = await openFeatures(target.dictionary)
  try {
    return await use(dictionary)
  } finally {
    await dictionary.release()
  }
}

export const sweepHandlers = (
  engine: Engine,
): HandlerPart<'sweep.run' | 'sweep.paths' | 'sweep.scrub' | 'sweep.site'> => {
  const { sweeps } = engine
  const patching = (handle: string): Promise<PatchingModel> => patchingModel(engine, handle)
  return {
    'sweep.run': async ({ model, tensors, order, known: given, ...request }, { signal, progress }) => {
      const subject = await patching(model)
      return withDictionary(request.target, (dictionary) =>
        keptSweep(sweeps, keyOf('sweep', request, { model, tensors, dictionary }), {
          known: given,
          onProgress: progress,
          run: (known, onProgress) =>
            sweep(subject, request, { tensors, dictionary, order, known, signal, onProgress }),
        }),
      )
    },
    'sweep.paths': async ({ model, tensors, order, known: given, ...request }, { signal, progress }) => {
      const subject = await patching(model)
      return withDictionary(request.target, (dictionary) =>
        keptSweep(sweeps, keyOf('paths', request, { model, tensors, dictionary }), {
          known: given,
          onProgress: progress,
          run: (known, onProgress) =>
            patchPaths(subject, request, { tensors, dictionary, order, known, signal, onProgress }),
        }),
      )
    },
    'sweep.scrub': async ({ model, tensors, ...request }, { signal, progress }) =>
      scrub(await patching(model), request, { tensors, signal, onProgress: progress }),
    'sweep.site': async ({ model, tensors, site, pair, receivers, frozen, ...request }, { signal }) => {
      const subject = await patching(model)
      return withDictionary(request.target, (dictionary) => {
        const options = { index: site, which: pair, tensors, dictionary, signal }
        return receivers === undefined
          ? siteRequest(subject, request, options)
          : senderRequest(subject, { ...request, receivers, frozen }, options)
      })
    },
  }
}
