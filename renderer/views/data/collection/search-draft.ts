/** What is searched for, as it is being chosen, and as the contract takes it. */
import type { CallInput } from '../../../../preload/api'
import type { CollectionOutput, SearchTarget } from '../../../../preload/collections'
import type { Tensor } from '../../../../preload/tensor'
import { widthOf } from './output-words'

export interface SearchDraft {
  kind: SearchTarget['kind']
  unit: number
  head: number
  preset: string
  /** Name of the file, and its vector. */
  file: string
  direction: Tensor | null
  folder: string
  feature: number
  count: number
  perQuantile: number
  before: number
  behind: number
  distinctRows: boolean
  seed: number
}

export const emptySearch = (): SearchDraft => ({
  kind: 'unit',
  unit: 0,
  head: 0,
  preset: '',
  file: '',
  direction: null,
  folder: '',
  feature: 0,
  count: 20,
  perQuantile: 3,
  before: 20,
  behind: 10,
  distinctRows: true,
  seed: 0,
})

/** How many heads the output's values have; 0 for none. */
export const headsOf = ({ dims, sizes }: CollectionOutput): number => {
  const axis = dims.findIndex((dim) => dim === 'head' || dim === 'kv_head')
  return axis < 0 ? 0 : (sizes[axis] ?? 0)
}

/** What is still missing, in a sentence; null when it can be searched. */
export function missingOfSearch(draft: SearchDraft, output: CollectionOutput | null): string | null {
  if (output === null) return 'This collection has no outputs.'
  const heads = headsOf(output)
  const width = widthOf(output)
  switch (draft.kind) {
    case 'unit':
      if (width !== null && draft.unit >= width) return `This output has units 0 to ${width - 1}.`
      return heads > 0 && draft.head >= heads ? `This output has heads 0 to ${heads - 1}.` : null
    case 'head':
      if (heads === 0) return 'This output has no heads; choose one like attn.hook_z.'
      return draft.head >= heads ? `This output has heads 0 to ${heads - 1}.` : null
    case 'direction':
      return draft.direction === null ? 'Choose the file of the direction.' : null
    case 'preset':
      return draft.preset === '' ? 'Choose a preset.' : null
    case 'feature':
      return draft.folder === '' ? 'Choose the folder of the dictionary.' : null
  }
}

function targetOf(draft: SearchDraft, output: CollectionOutput): SearchTarget | null {
  const { kind, unit, head, preset, direction, folder, feature } = draft
  switch (kind) {
    case 'unit':
      return headsOf(output) > 0 ? { kind, unit, head } : { kind, unit }
    case 'head':
      return { kind, head }
    case 'direction':
      return direction === null ? null : { kind, direction }
    case 'preset':
      return { kind, id: preset }
    case 'feature':
      return { kind, folder, feature }
  }
}

/** Null while something is missing. */
export function searchOf(
  draft: SearchDraft,
  output: CollectionOutput | null,
  of: { id: string; filter: string },
): CallInput<'collections.search'> | null {
  if (output === null || missingOfSearch(draft, output) !== null) return null
  const target = targetOf(draft, output)
  if (target === null) return null
  const { count, perQuantile, before, behind, distinctRows, seed } = draft
  return {
    ...of,
    output: output.name,
    target,
    count,
    perQuantile,
    window: [before, behind],
    distinctRows,
    seed,
  }
}
