/**
 * Single neurons as what is patched: those that attribution patching finds to matter most, each of which is then patched for
 * real.
 */
import { computed, ref, type ComputedRef, type Ref } from 'vue'
import type { CallInput } from '../../../preload/api'
import type { NeuronEffect } from '../../../preload/attribution'
import { hookName } from '../../../preload/hooks'
import { componentSites } from '../../../preload/sweep'
import { useQueries } from '../../queries/queries'
import { useModels } from '../../stores/models'
import type { Question } from '../metric/question'
import { attributionInputs, isAttributed } from './attribution-inputs'
import type { PairNoise } from './pair-noise'
import type { ReadyPair } from './ready-pairs'

type SitesInput = Extract<CallInput<'sweep.run'>['target'], { kind: 'sites' }>
export type Neuron = Pick<NeuronEffect, 'layer' | 'neuron' | 'effect'>

export interface NeuronTarget {
  /** Whether neurons are patched instead of a component. */
  on: Ref<boolean>
  /** So many, largest effect by attribution first. */
  top: Ref<number>
  /** Of one layer; null for all. */
  layer: Ref<number | null>
  by: Ref<'position' | 'all'>
  /** What is missing, in a sentence; null where nothing is. */
  missing: ComputedRef<string | null>
  /**
   * A site for each neuron, or for each neuron and position, row-major.
   * @param positions of the prompt that is run
   * @param layers for which the source has something; all unless given
   */
  target: (positions: number, layers?: readonly number[]) => SitesInput | null
}

interface Asked {
  question: Question
  noise: PairNoise
  direction: Ref<'denoising' | 'noising'>
  pairs: ComputedRef<readonly ReadyPair[]>
}

/** Neurons that are listed of each pair, so that a layer has enough, and the pairs have the same ones. */
const listed = 1000

/**
 * Means over the pairs' lists, largest magnitude first; what a list does not hold has no effect there.
 * @param layer null for all
 */
export function mostEffective(
  lists: readonly (readonly Neuron[])[],
  layer: number | null,
  top: number,
): Neuron[] {
  const sums = new Map<string, Neuron>()
  for (const list of lists)
    for (const { layer: at, neuron, effect } of list) {
      if (layer !== null && at !== layer) continue
      const key = `${at}.${neuron}`
      sums.set(key, { layer: at, neuron, effect: (sums.get(key)?.effect ?? 0) + effect / lists.length })
    }
  return [...sums.values()].sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect)).slice(0, top)
}

const neuronHook = (layer: number): string => hookName({ layer, site: componentSites.neurons })

export function useNeuronTarget({ question, noise, direction, pairs }: Asked): NeuronTarget {
  const models = useModels()
  const on = ref(false)
  const top = ref(24)
  const layer = ref<number | null>(null)
  const by = ref<'position' | 'all'>('position')

  const without = computed(() => {
    if (noise.on.value) return 'Neurons are chosen by attribution between two prompts, without noise.'
    return isAttributed(question.kind.value)
      ? null
      : 'Neurons are chosen by attribution, for which this metric is not made: take a logit, their difference or a log-probability.'
  })
  const lists = useQueries(
    'attribution.patching',
    () =>
      !on.value || without.value !== null || models.handle === null
        ? null
        : attributionInputs({
            model: models.handle,
            pairs: pairs.value,
            kind: question.kind.value,
            position: question.position.value,
            direction: direction.value,
            sites: ['neurons'],
            neurons: listed,
          }),
    { title: 'Neurons by attribution', remember: 64 },
  )
  /** Another model may have been opened meanwhile, with fewer layers. */
  const chosenLayer = computed(() =>
    layer.value !== null && layer.value < (models.current?.layers ?? 0) ? layer.value : null,
  )
  const chosen = computed(() =>
    lists.data.value === null
      ? null
      : mostEffective(
          lists.data.value.map(({ output }) => output.neurons ?? []),
          chosenLayer.value,
          top.value,
        ),
  )

  function target(positions: number, layers?: readonly number[]): SitesInput | null {
    const neurons = chosen.value?.filter((one) => layers?.includes(one.layer) ?? true) ?? []
    if (neurons.length === 0) return null
    const sites = neurons.flatMap((one) => {
      const site = { hook: neuronHook(one.layer), units: [one.neuron] }
      return by.value === 'all'
        ? [site]
        : Array.from({ length: positions }, (_, position) => ({ ...site, positions: [position] }))
    })
    return { kind: 'sites', sites }
  }
  return {
    on,
    top,
    layer,
    by,
    missing: computed(() => {
      if (without.value !== null) return without.value
      const { error, data } = lists
      if (error.value !== null) return `${error.value.message} ${error.value.next ?? ''}`.trim()
      if (data.value === null) return 'Looking for the neurons that matter most…'
      return chosen.value?.length === 0 ? 'Attribution finds no neuron with an effect here.' : null
    }),
    target,
  }
}
