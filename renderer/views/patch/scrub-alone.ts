/** What replacing each component alone does to the metric: two small sweeps in the order of the components. */
import { computed, type ComputedRef } from 'vue'
import type { PatchbayError } from '../../../preload/errors'
import type { Scrub } from './scrub'
import { useSweep, type Sweep } from './sweep'

export interface AloneEffects {
  /** Metric − metric of the clean prompt, in the order of `every`; NaN where it is not there. */
  effects: ComputedRef<Float32Array>
  running: ComputedRef<boolean>
  error: ComputedRef<PatchbayError | null>
  retry: () => void
}

/** One value a layer behind those of its heads. @param width heads of a layer */
export function interleaved(first: Float32Array, mlps: Float32Array, layers: number): Float32Array {
  const width = layers === 0 ? 0 : first.length / layers
  const all = new Float32Array(layers * (width + 1)).fill(NaN)
  for (let layer = 0; layer < layers; layer++) {
    all.set(first.subarray(layer * width, (layer + 1) * width), layer * (width + 1))
    all[layer * (width + 1) + width] = mlps.at(layer) ?? NaN
  }
  return all
}

export function useAloneEffects({ alone, every }: Scrub): AloneEffects {
  const heads = useSweep(() => alone.value?.[0] ?? null, { title: 'Effects of heads' })
  const mlps = useSweep(() => alone.value?.[1] ?? null, { title: 'Effects of MLPs' })
  const ofRun = ({ raw, plan }: Sweep): Float32Array => {
    const clean = plan.value?.ends[0].clean ?? NaN
    return raw.value.map((value) => value - clean)
  }
  const layers = computed(() => every.value.filter(({ kind }) => kind === 'mlp').length)
  const effects = computed(() => {
    const width = every.value.length / Math.max(1, layers.value) - 1
    const first = ofRun(heads)
    const none = new Float32Array(layers.value * width).fill(NaN)
    return interleaved(first.length === none.length ? first : none, ofRun(mlps), layers.value)
  })
  return {
    effects,
    running: computed(() => heads.running.value || mlps.running.value),
    error: computed(() => heads.error.value ?? mlps.error.value),
    retry: () => {
      void heads.resume()
      void mlps.resume()
    },
  }
}
