/** What the patch view sweeps: pairs, component, grid, direction, source and metric, shared by the parts of the view. */
import { computed, inject, provide, ref, shallowRef } from 'vue'
import type { ComputedRef, InjectionKey, Ref, ShallowRef } from 'vue'
import type { SweepComponent, SweepMetricInput } from '../../../preload/sweep'
import { useModels } from '../../stores/models'
import { useSelection } from '../../stores/selection'
import type { Question } from '../metric/question'
import { sweepMetricOf, targetOf, type MapAxes } from './components'
import { useFeatureTarget, type FeatureTarget } from './feature-target'
import { useNeuronTarget, type NeuronTarget } from './neuron-target'
import { usePairList, type ListedPair, type PairList } from './pair-list'
import { usePairNoise, type PairNoise } from './pair-noise'
import { usePatchSource, type PatchSource } from './patch-source'
import { readyPair, sameLength, type ReadyPair } from './ready-pairs'
import { receiverPlace, type Receiver } from './receivers'
import type { SweepQuestion } from './sweep'

/** Each place alone; each place through receivers alone; all places but a kept set at once. */
export type PatchMode = 'places' | 'paths' | 'scrub'
export type Frozen = 'heads-and-mlps' | 'heads'

export interface PatchQuestion {
  mode: Ref<PatchMode>
  component: Ref<SweepComponent>
  axes: Ref<MapAxes>
  direction: Ref<'denoising' | 'noising'>
  source: PatchSource
  features: FeatureTarget
  neurons: NeuronTarget
  /** What is patched instead of the component; null where it is that. */
  special: ComputedRef<'features' | 'neurons' | null>
  /** The component whose activation the source gives. */
  patched: ComputedRef<SweepComponent>
  list: PairList
  noise: PairNoise
  /** Of path patching: what hears the senders, and what keeps the base's value on the way. */
  receivers: ShallowRef<readonly Receiver[]>
  frozen: Ref<Frozen>
  /** Pairs that nothing is missing of. */
  pairs: ComputedRef<readonly ReadyPair[]>
  /** The pair that a closer look is taken at, and whose tokens label the map: an index into `pairs`. */
  focus: Ref<number>
  focused: ComputedRef<ReadyPair | null>
  /** Tokens of the prompt of the focused pair that is run. */
  baseTokens: ComputedRef<ReadyPair['clean']>
  /** The metric of a pair, with its own tokens. */
  metricOf: (pair: ListedPair) => SweepMetricInput | null
  /** The sweep of a component over these axes; null while something is missing. */
  sweepOf: (component: SweepComponent, axes: MapAxes) => SweepQuestion | null
  /** That of what is chosen. */
  current: ComputedRef<SweepQuestion | null>
  /** What is missing for a sweep, in a sentence; null where nothing is. */
  missing: ComputedRef<string | null>
  /** The pairs have no common positions, and the map is by position. */
  uneven: ComputedRef<boolean>
  /** Removes the pairs whose prompt that is run is not as long as the first one's. */
  keepEven: () => void
  /** Two prompts of different length are patched where their tokens are paired. */
  aligned: ComputedRef<boolean>
}

const key: InjectionKey<PatchQuestion> = Symbol('patch question')

/** @param asked the question about metric and prompts (see ../metric/question) */
export function providePatchQuestion(asked: Question): PatchQuestion {
  const { kind, position, linear } = asked
  const models = useModels()
  const selection = useSelection()
  const mode = ref<PatchMode>('places')
  const component = ref<SweepComponent>('resid_pre')
  const axes = ref<MapAxes>('position')
  const direction = ref<'denoising' | 'noising'>('denoising')
  const receivers = shallowRef<readonly Receiver[]>([])
  const frozen = ref<Frozen>('heads-and-mlps')
  const focus = ref(0)
  const source = usePatchSource()
  const features = useFeatureTarget()
  const list = usePairList(asked)
  const noise = usePairNoise(() => list.pairs.value[0])

  const metricOf = ({ towards, against, terms }: ListedPair): SweepMetricInput | null =>
    sweepMetricOf(kind.value, towards?.token.id ?? null, against?.token.id ?? null, position.value, {
      of: linear.value.of,
      terms,
    })
  const pairs = computed(() => {
    const own = list.pairs.value.length > 1 && kind.value !== 'kl'
    return list.pairs.value.flatMap((pair) => readyPair(pair, noise, metricOf, own) ?? [])
  })
  const focused = computed(() => pairs.value.at(Math.min(focus.value, pairs.value.length - 1)) ?? null)
  const baseOf = (pair: ReadyPair) => (direction.value === 'noising' ? pair.clean : pair.corrupt)
  /** Of the longest prompt that is run. */
  const length = computed(() => Math.max(0, ...pairs.value.map((pair) => baseOf(pair).length)))
  const neurons = useNeuronTarget({ question: asked, noise, direction, pairs })
  const special = computed(() => {
    if (mode.value !== 'places') return null
    return features.on.value ? ('features' as const) : neurons.on.value ? ('neurons' as const) : null
  })
  const patched = computed(() => (special.value === 'neurons' ? special.value : component.value))
  const sourceOf = (of: SweepComponent) =>
    source.make(of, models.current?.layers ?? 0, pairs.value, length.value)

  type Target = SweepQuestion['target'] | null
  /** @param targetFor what is patched, of the layers that the source has something for */
  function questionOf(
    of: SweepComponent,
    targetFor: (layers?: readonly number[]) => Target,
  ): SweepQuestion | null {
    const model = models.handle
    const made = sourceOf(of)
    if (model === null || pairs.value.length === 0 || made.input === null || mode.value === 'scrub')
      return null
    const target = targetFor(made.layers)
    if (target === null) return null
    const places = {
      model,
      pairs: pairs.value.map(({ input }) => input),
      direction: direction.value,
      source: made.input,
      target,
      metrics: [pairs.value[0].metric],
      ...(made.tensors === undefined ? {} : { tensors: made.tensors }),
    }
    if (mode.value === 'places') return places
    const sizes = models.current
    if (receivers.value.length === 0 || sizes === null) return null
    return {
      ...places,
      receivers: receivers.value.map((receiver) => receiverPlace(receiver, sizes)),
      frozen: frozen.value,
    }
  }
  const sweepOf = (of: SweepComponent, over: MapAxes): SweepQuestion | null =>
    questionOf(of, (layers) => targetOf(of, over, selection.current.layer, layers))
  function chosenSweep(): SweepQuestion | null {
    switch (special.value) {
      case 'features':
        return questionOf(component.value, features.target)
      case 'neurons':
        return questionOf(patched.value, (layers) => neurons.target(length.value, layers))
      case null:
        return sweepOf(component.value, axes.value)
    }
  }
  const byPosition = computed(() =>
    special.value === null
      ? axes.value !== 'head'
      : special.value === 'features' || neurons.by.value === 'position',
  )
  const uneven = computed(
    () => mode.value !== 'scrub' && byPosition.value && !sameLength(pairs.value, direction.value),
  )
  const missing = computed(() => {
    const [first] = list.pairs.value
    if (noise.corruptOf(first) === null) return 'Patching needs two prompts.'
    if (noise.on.value && noise.positionsOf(first).length === 0)
      return 'Click the tokens of the first pair whose embeddings get noise.'
    if (pairs.value.length === 0) return 'Choose the tokens of the metric.'
    const made = sourceOf(patched.value)
    if (made.missing !== null) return made.missing
    if (special.value === 'features' && features.folder.value === '')
      return 'Choose the dictionary whose features are patched.'
    if (special.value === 'neurons' && neurons.missing.value !== null) return neurons.missing.value
    if (mode.value === 'paths' && receivers.value.length === 0)
      return 'Choose receivers: what the senders are heard by.'
    return uneven.value
      ? 'The pairs differ in length, so there are no common positions: use pairs of one length, or layers × heads.'
      : null
  })

  const question: PatchQuestion = {
    mode,
    component,
    axes,
    direction,
    source,
    features,
    neurons,
    special,
    patched,
    list,
    noise,
    receivers,
    frozen,
    pairs,
    focus,
    focused,
    baseTokens: computed(() => (focused.value === null ? [] : baseOf(focused.value))),
    metricOf,
    sweepOf,
    current: computed(() => (missing.value === null ? chosenSweep() : null)),
    missing,
    uneven,
    keepEven() {
      const [first, ...rest] = pairs.value
      for (const pair of rest) if (baseOf(pair).length !== baseOf(first).length) list.remove(pair.listed.id)
    },
    aligned: computed(() => pairs.value.some(({ clean, corrupt }) => clean.length !== corrupt.length)),
  }
  provide(key, question)
  return question
}

/** @throws Error outside of the patch view; a defect */
export function usePatchQuestion(): PatchQuestion {
  const question = inject(key, null)
  if (question === null) throw new Error('usePatchQuestion() outside of the patch view')
  return question
}
