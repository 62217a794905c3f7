/**
 * One selection and one pinned selection, shared by all panels of all views: what is clicked anywhere is meant everywhere.
 * `point` counts residual-stream points (0 = the embedding, n_layers = after the last block), `layer` counts blocks.
 */
import { defineStore } from 'pinia'
import { computed, ref } from 'vue'

export interface Selection {
  /** Block, 0-based. */
  layer: number
  /** Query head in that block. */
  head: number
  /** Token position of the prompt. */
  position: number
  /** Residual-stream point, 0 to n_layers. */
  point: number
}

/** What a selection must stay within. */
export interface Bounds {
  layers: number
  heads: number
  positions: number
}

const clamp = (value: number, below: number): number => Math.min(Math.max(0, value), Math.max(0, below - 1))

export const useSelection = defineStore('selection', () => {
  const current = ref<Selection>({ layer: 0, head: 0, position: 0, point: 0 })
  const pinned = ref<Selection | null>(null)
  const bounds = ref<Bounds>({ layers: 1, heads: 1, positions: 1 })

  const within = (selection: Selection): Selection => ({
    layer: clamp(selection.layer, bounds.value.layers),
    head: clamp(selection.head, bounds.value.heads),
    position: clamp(selection.position, bounds.value.positions),
    point: clamp(selection.point, bounds.value.layers + 1),
  })
  const isPinned = computed(
    () =>
      pinned.value !== null &&
      (Object.keys(current.value) as (keyof Selection)[]).every(
        (key) => pinned.value?.[key] === current.value[key],
      ),
  )

  /**
   * Selects; what is not named stays. Layer and point go together: a block is meant with the residual stream behind it.
   */
  function select(part: Partial<Selection>): void {
    const joined = { ...current.value, ...part }
    if (part.point !== undefined && part.layer === undefined && part.point > 0) joined.layer = part.point - 1
    if (part.layer !== undefined && part.point === undefined) joined.point = part.layer + 1
    current.value = within(joined)
  }
  /** Moves the position by so many tokens. */
  function step(by: number): void {
    select({ position: current.value.position + by })
  }
  /** Pins the selection, or takes the pin out where it already is. */
  function togglePin(): void {
    pinned.value = isPinned.value ? null : { ...current.value }
  }
  function unpin(): void {
    pinned.value = null
  }
  /** A new model or prompt: the selection goes to the place one looks at first, the last position after the last block. */
  function reset(next: Bounds): void {
    bounds.value = next
    pinned.value = null
    current.value = within({
      layer: next.layers - 1,
      head: 0,
      position: next.positions - 1,
      point: next.layers,
    })
  }
  /** The prompt changed: a selection at the last position stays there, any other stays within. */
  function resize(positions: number): void {
    const atEnd = current.value.position >= bounds.value.positions - 1
    bounds.value = { ...bounds.value, positions }
    current.value = within(atEnd ? { ...current.value, position: positions - 1 } : current.value)
    if (pinned.value !== null) pinned.value = pinned.value.position < positions ? within(pinned.value) : null
  }

  return { current, pinned, bounds, isPinned, select, step, togglePin, unpin, reset, resize }
})
