/** Chosen places patched for real, beside their estimates: a sweep over a list, in attribution's words. */
import type { AttributionMetric, PatchPlace, PatchResult } from '../../../preload/attribution'
import { sweepRequest, type SweepMetricInput } from '../../../preload/sweep'
import { WaveSize } from '../../runtime/wave/size'
import { evidenceOf } from '../evidence'
import { checked } from '../patching/planned'
import { requestOfSite } from '../patching/site-request'
import { invalid } from '../patching/sites'
import type { PatchingModel } from '../patching/subject'
import { sweepPlanned } from '../patching/sweep'
import type { RunOptions } from '../subject'
import { normalised, type PairRequest } from './pair'

export interface PatchRequest extends PairRequest {
  places: readonly PatchPlace[]
}

/** A model that runs; how large waves are on this machine is measured anew where it is not known. */
export type PatchedModel = Omit<PatchingModel, 'waveSize'> & Partial<Pick<PatchingModel, 'waveSize'>>

const measured = ({ facts, certificate, runnable, waveSize }: PatchedModel): PatchingModel => ({
  facts,
  certificate,
  runnable,
  waveSize: waveSize ?? new WaveSize(),
})

/**
 * The exact effect of every place patched alone.
 * @throws PatchbayError `hook.unknown`, `hook.unavailable`, `input.invalid` for places that are not there or have no partner
 */
export async function patch(
  patched: PatchedModel,
  { clean, corrupt, metric, direction, places }: PatchRequest,
  { signal, onProgress }: RunOptions = {},
): Promise<PatchResult> {
  const began = performance.now()
  const model = measured(patched)
  const request = sweepRequest.parse({
    pairs: [{ clean, corrupt, alignment: 'auto' }],
    direction,
    target: { kind: 'sites', sites: places.map(withoutRepeats) },
    metrics: [metricOf(metric)],
  })
  const planned = await checked(model, request, { signal }).run()
  const [{ partnered, unchanged }] = planned.pairs
  places.forEach(({ positions }, i) => {
    const alone = positions?.find((position) => !partnered[position])
    if (alone !== undefined)
      throw invalid(
        `Position ${alone} has no partner in the other prompt, so there is nothing to put there`,
        `places.${i}.positions`,
        'Choose a position that the alignment pairs.',
      )
  })
  if (!partnered.includes(true))
    throw invalid(
      'The two prompts have no position in common',
      'places',
      'Choose prompts that resemble each other.',
    )
  const { raw, plan } = await sweepPlanned(
    model,
    request,
    planned,
    {
      signal,
      onProgress: (progress) => {
        if (progress.kind === 'values') onProgress?.(progress.done, progress.total)
      },
    },
    began,
  )
  const [ends] = plan.ends
  // Values are float32, and so is what they are compared with.
  const base = Math.fround(unchanged[0])
  return {
    evidence: evidenceOf(model, requestOfSite(model, planned, 0)),
    direction,
    ends,
    places: Array.from(raw.data, (value) => ({
      metric: value,
      effect: value - base,
      normalised: normalised(ends, value),
    })),
  }
}

const withoutRepeats = (place: PatchPlace): PatchPlace => ({
  ...place,
  ...(place.positions === undefined ? {} : { positions: [...new Set(place.positions)] }),
  ...(place.units === undefined ? {} : { units: [...new Set(place.units)] }),
})

function metricOf(metric: AttributionMetric): SweepMetricInput {
  const { position } = metric
  switch (metric.kind) {
    case 'logit':
      return { kind: 'logit-difference', positive: [metric.token], position }
    case 'logit-difference':
      return { kind: 'logit-difference', positive: [metric.positive], negative: [metric.negative], position }
    case 'log-probability':
      return { kind: 'log-probability', token: metric.token, position }
  }
}
