/** What is put in the place of an activation, as the patch view offers it. */
import { ref, shallowRef, type Ref, type ShallowRef } from 'vue'
import type { CallInput } from '../../../preload/api'
import type { SweepComponent, SweepSource } from '../../../preload/sweep'
import type { ReadyPair } from './ready-pairs'
import { longEnough, useSourceRows, type SourceRows } from './source-rows'
import { firstPositions, placedTensors, type PlacedTensors, type StoredTensors } from './tensor-source'

export type SourceKind = SweepSource['kind']
export type SourceInput = NonNullable<CallInput<'sweep.run'>['source']>

/** The source of a request: with its tensors and the layers that it has something for; or why there is none yet. */
export type MadeSource =
  | { input: SourceInput; tensors?: PlacedTensors['tensors']; layers?: readonly number[]; missing: null }
  | { input: null; missing: string }

export interface PatchSource {
  kind: Ref<SourceKind>
  /** Standard deviation of noise, in the activation's units. */
  std: Ref<number>
  seed: Ref<number>
  rows: SourceRows
  stored: Readonly<ShallowRef<StoredTensors | null>>
  /** Takes tensors as the source; null for none. */
  store: (tensors: Omit<StoredTensors, 'serial'> | null) => void
  /** Rows of a mean, or of what is resampled; null while they are not there. */
  rowsFor: (pairs: readonly ReadyPair[]) => readonly number[][] | null
  make: (component: SweepComponent, layers: number, pairs: readonly ReadyPair[], length: number) => MadeSource
}

export function usePatchSource(): PatchSource {
  const kind = ref<SourceKind>('prompt')
  const std = ref(1)
  const seed = ref(0)
  const rows = useSourceRows()
  const stored = shallowRef<StoredTensors | null>(null)
  let serial = 0

  const rowsFor = (pairs: readonly ReadyPair[]): readonly number[][] | null =>
    rows.from.value === 'pairs'
      ? pairs.flatMap(({ input }) => [input.clean, input.corrupt])
      : rows.lines.value

  function store(tensors: Omit<StoredTensors, 'serial'> | null): void {
    stored.value = tensors === null ? null : { ...tensors, serial: ++serial }
  }

  function withTensors(component: SweepComponent, layers: number, length: number): MadeSource {
    if (stored.value === null)
      return { input: null, missing: 'Open a tensor, or take one of a preset or a collection.' }
    const placed = placedTensors(stored.value, component, layers)
    if (placed === null)
      return { input: null, missing: `${stored.value.name} holds nothing for this component.` }
    const tensors = stored.value.byPosition ? firstPositions(placed.tensors, length) : placed.tensors
    if (tensors === null) {
      const [{ shape }] = Object.values(placed.tensors)
      return {
        input: null,
        missing: `${stored.value.name} has ${shape[0]} positions, what is run has ${length}: put one position in, or the mean.`,
      }
    }
    return { input: { kind: 'tensor', tensors: placed.names }, tensors, layers: placed.layers, missing: null }
  }

  function withRows(of: 'mean' | 'resample', pairs: readonly ReadyPair[], length: number): MadeSource {
    const given = rowsFor(pairs)
    if (given === null || given.length === 0)
      return { input: null, missing: 'Write the prompts that the activations come from.' }
    if (of === 'mean') return { input: { kind: 'mean', rows: [...given] }, missing: null }
    const long = longEnough(given, length)
    if (long.length === 0)
      return {
        input: null,
        missing: `No prompt of the source has ${length} tokens, as many as the prompt that is run.`,
      }
    return { input: { kind: 'resample', rows: long, seed: seed.value }, missing: null }
  }

  function make(
    component: SweepComponent,
    layers: number,
    pairs: readonly ReadyPair[],
    length: number,
  ): MadeSource {
    switch (kind.value) {
      case 'prompt':
      case 'zero':
        return { input: { kind: kind.value }, missing: null }
      case 'noise':
        return { input: { kind: 'noise', std: std.value, seed: seed.value }, missing: null }
      case 'mean':
      case 'resample':
        return withRows(kind.value, pairs, length)
      case 'tensor':
        return withTensors(component, layers, length)
    }
  }
  return { kind, std, seed, rows, stored, store, rowsFor, make }
}
