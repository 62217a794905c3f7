/** What the prompt view asks the engine: about the prompt, about the selection in it, and about the pinned selection. */
import { computed } from 'vue'
import { useQuery } from '../../queries/query'
import { useModels } from '../../stores/models'
import { usePrompt } from '../../stores/prompt'
import { useSelection } from '../../stores/selection'
import type { Selection } from '../../stores/selection'

/** The selection may run over cells by key: the engine is asked when it rests, and once for each place. */
const rest = { delay: 60, remember: 24 }

export function usePromptQueries() {
  const models = useModels()
  const selection = useSelection()
  const slot = usePrompt().slots.A

  /** What everything here is asked about; null while there is no valid prompt. */
  const subject = computed(() => {
    const model = models.handle
    const tokens = slot.tokens
    return model === null || tokens === null ? null : { model, tokens }
  })
  /** A selection that the prompt has; null for the moment in which a shorter prompt is here and the selection is not yet inside. */
  const within = (place: Selection | null) =>
    place !== null && subject.value !== null && place.position < subject.value.tokens.length ? place : null
  const selected = computed(() => within(selection.current))
  const pinned = computed(() => within(selection.pinned))

  const cellOf = (place: Selection | null) =>
    subject.value && place && { ...subject.value, point: place.point, position: place.position }
  const nextOf = (place: Selection | null) =>
    subject.value && place && { ...subject.value, position: place.position }
  const layerOf = (place: Selection | null) =>
    subject.value && place && { ...subject.value, layer: place.layer }

  return {
    lens: useQuery('lens.map', () => subject.value, { title: 'Logit lens', remember: 2 }),
    overview: useQuery('attention.overview', () => subject.value, { title: 'Attention heads', remember: 2 }),
    cell: useQuery('lens.cell', () => cellOf(selected.value), { title: 'Top tokens', ...rest }),
    next: useQuery('logits.next', () => nextOf(selected.value), { title: 'Next token', ...rest }),
    layer: useQuery('attention.layer', () => layerOf(selected.value), {
      title: 'Attention',
      delay: 60,
      remember: 4,
    }),
    pinnedCell: useQuery('lens.cell', () => cellOf(pinned.value), { title: 'Top tokens of the pinned cell' }),
    pinnedNext: useQuery('logits.next', () => nextOf(pinned.value), {
      title: 'Next token after the pinned position',
    }),
    pinnedLayer: useQuery('attention.layer', () => layerOf(pinned.value), {
      title: 'Attention of the pinned head',
    }),
  }
}
