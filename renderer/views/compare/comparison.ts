/** The comparison that all tabs of the view show: its query, the tokens that belong to it, and the selected pair. */
import {
  computed,
  inject,
  provide,
  shallowRef,
  watch,
  type ComputedRef,
  type InjectionKey,
  type ShallowRef,
} from 'vue'
import type { ModelDescription } from '../../../preload/model'
import type { EncodedToken } from '../../../preload/prompt'
import type { AlignedPair, Comparison } from '../../../preload/views'
import type { PanelState } from '../../components/panel-state'
import { panelState } from '../../components/panel-state'
import { tokenLabel } from '../../components/token-label'
import { useQuery } from '../../queries/query'
import { useModels } from '../../stores/models'
import { usePrompt } from '../../stores/prompt'
import { useSelection } from '../../stores/selection'
import { pairAt, pairLabels, type Side } from './alignment'

/** A result with the prompts it belongs to: while new ones are computed the old picture keeps its own labels. */
export interface Compared {
  model: ModelDescription
  result: Comparison
  tokens: Record<Side, readonly EncodedToken[]>
  labels: Record<Side, string[]>
  /** Labels of the aligned pairs as seen from one side or from both. */
  axis: Record<Side | 'both', string[]>
}

export interface ComparisonContext {
  compared: Readonly<ShallowRef<Compared | null>>
  state: ComputedRef<PanelState>
  pairs: ComputedRef<readonly AlignedPair[]>
  /** Index of the selected aligned pair. */
  pair: ComputedRef<number>
  pinnedPair: ComputedRef<number | null>
  selectPair: (index: number) => void
}

const key: InjectionKey<ComparisonContext> = Symbol('comparison')

/** Asks for the comparison of the two prompts, and offers it to the components below. */
export function provideComparison(): ComparisonContext {
  const models = useModels()
  const prompt = usePrompt()
  const selection = useSelection()
  const { A, B } = prompt.slots
  const query = useQuery(
    'compare.prompts',
    () =>
      models.handle === null || A.tokens === null || B.tokens === null
        ? null
        : { model: models.handle, left: A.tokens, right: B.tokens },
    { title: 'Comparison' },
  )

  const compared = shallowRef<Compared | null>(null)
  watch(
    [query.data, query.stale, () => A.encoded, () => B.encoded],
    () => {
      const result = query.data.value
      if (result === null) compared.value = null
      else if (!query.stale.value && models.current !== null && A.encoded !== null && B.encoded !== null) {
        const tokens = { left: A.encoded.tokens, right: B.encoded.tokens }
        const labels = { left: tokens.left.map(tokenLabel), right: tokens.right.map(tokenLabel) }
        const axis = (of: Side | 'both') => pairLabels(result.alignment, labels.left, labels.right, of)
        compared.value = {
          model: models.current,
          result,
          tokens,
          labels,
          axis: { left: axis('left'), right: axis('right'), both: axis('both') },
        }
      }
    },
    { immediate: true, flush: 'sync' },
  )

  const pairs = computed(() => compared.value?.result.alignment ?? [])
  /** A pair without a left token can not be said by the shared selection, which counts positions of the left prompt. */
  const onlyRight = shallowRef<number | null>(null)
  const pair = computed(() => onlyRight.value ?? pairAt(pairs.value, 'left', selection.current.position))
  const pinnedPair = computed(() =>
    selection.pinned === null || pairs.value.length === 0
      ? null
      : pairAt(pairs.value, 'left', selection.pinned.position),
  )
  function selectPair(index: number): void {
    const chosen = pairs.value.at(index)
    if (chosen === undefined) return
    if (chosen.left === null) onlyRight.value = index
    else {
      onlyRight.value = null
      selection.select({ position: chosen.left })
    }
  }
  watch([pairs, () => selection.current.position], () => {
    onlyRight.value = null
  })

  const context = { compared, state: panelState(query), pairs, pair, pinnedPair, selectPair }
  provide(key, context)
  return context
}

/** @throws Error outside of the compare view; a defect */
export function useComparison(): ComparisonContext {
  const context = inject(key, null)
  if (context === null) throw new Error('useComparison() outside of the compare view')
  return context
}
