/**
 * What all tabs of a collection share: which rows are looked at (a filter, what was brushed), which row is selected, and which
 * output at which position. What is brushed in a map is marked in the table, and back.
 */
import {
  computed,
  inject,
  provide,
  ref,
  shallowRef,
  watch,
  type ComputedRef,
  type InjectionKey,
  type Ref,
  type ShallowRef,
} from 'vue'
import type { Collection, CollectionOutput } from '../../../../preload/collections'
import type { CollectionOrigin } from '../../../exports/provenance'

export type PositionChoice = 'last' | 'first' | 'mean' | 'at'

export interface CollectionState {
  collection: ComputedRef<Collection>
  /** SQLite's language, as behind WHERE; as it was last applied. */
  filter: Ref<string>
  selected: Ref<number | null>
  brushed: ShallowRef<ReadonlySet<number>>
  /** Only brushed rows are looked at. */
  onlyBrushed: Ref<boolean>
  /** Filter and brushed rows together. */
  rowFilter: ComputedRef<string>
  outputName: Ref<string>
  output: ComputedRef<CollectionOutput | null>
  positionChoice: Ref<PositionChoice>
  /** Where `positionChoice` is 'at'; negative from the end. */
  positionAt: Ref<number>
  /** As the contract takes it. */
  position: ComputedRef<number | 'mean'>
  /** @param add to what is brushed already */
  brush: (rows: readonly number[], add: boolean) => void
  toggle: (row: number) => void
  origin: () => CollectionOrigin
}

/** A filter for exactly these rows. */
export const rowsFilter = (rows: Iterable<number>): string => `"row" IN (${[...rows].join(',')})`

/** Both filters together. */
export const both = (a: string, b: string): string =>
  a.trim() === '' ? b : b.trim() === '' ? a : `(${a}\n) AND (${b}\n)`

/** What a filter leaves, thinned: every n-th of the collection's rows. */
export const everyNth = (filter: string, n: number): string =>
  n === 1 ? filter : both(filter, `"row" % ${n} = 0`)

const key: InjectionKey<CollectionState> = Symbol('collection')

export function provideCollection(collection: () => Collection): CollectionState {
  const current = computed(collection)
  const filter = ref('')
  const selected = ref<number | null>(null)
  const brushed = shallowRef<ReadonlySet<number>>(new Set())
  const onlyBrushed = ref(false)
  const outputName = ref('')
  const positionChoice = ref<PositionChoice>('last')
  const positionAt = ref(0)
  watch(
    () => current.value.outputs,
    (outputs) => {
      if (!outputs.some(({ name }) => name === outputName.value))
        outputName.value = outputs.at(-1)?.name ?? ''
    },
    { immediate: true },
  )
  const state: CollectionState = {
    collection: current,
    filter,
    selected,
    brushed,
    onlyBrushed,
    rowFilter: computed(() =>
      onlyBrushed.value && brushed.value.size > 0
        ? both(filter.value, rowsFilter(brushed.value))
        : filter.value,
    ),
    outputName,
    output: computed(() => current.value.outputs.find(({ name }) => name === outputName.value) ?? null),
    positionChoice,
    positionAt,
    position: computed(() => {
      switch (positionChoice.value) {
        case 'mean':
          return 'mean'
        case 'first':
          return 0
        case 'at':
          return positionAt.value
        case 'last':
          return -1
      }
    }),
    brush(rows, add) {
      brushed.value = new Set(add ? [...brushed.value, ...rows] : rows)
      if (brushed.value.size === 0) onlyBrushed.value = false
    },
    toggle(row) {
      const next = new Set(brushed.value)
      if (!next.delete(row)) next.add(row)
      brushed.value = next
      if (next.size === 0) onlyBrushed.value = false
    },
    origin: () => ({
      provenance: current.value.provenance,
      collection: `${current.value.name} (${current.value.id})`,
    }),
  }
  provide(key, state)
  return state
}

/** @throws Error outside of a collection's page; that is a defect */
export function useCollection(): CollectionState {
  const state = inject(key)
  if (state === undefined) throw new Error('useCollection() was used outside of a collection')
  return state
}
