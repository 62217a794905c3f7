/** One thing to extract as it is being chosen: a site at some layers, positions, a reduction, a type. */
import type { ExtractOutput, ExtractPositions, Reduction, StoredType } from '../../../../preload/extraction'
import type { ModelDescription } from '../../../../preload/model'

export const positionKinds = [
  'all',
  'last',
  'text',
  'at',
  'every',
  'matching',
  'span',
  'span-offset',
] as const satisfies readonly ExtractPositions['kind'][]
export const reductionKinds = [
  'none',
  'mean',
  'max',
  'norm',
  'projection',
  'top',
  'features',
] as const satisfies readonly Reduction['kind'][]

export interface OutputDraft {
  /** Of a block, or a whole name outside of all blocks. */
  site: string
  /** "all", or "0, 2-4". */
  layers: string
  positions: (typeof positionKinds)[number]
  /** "0, -1" */
  at: string
  step: number
  from: number
  pattern: string
  spanEnd: 'first' | 'last'
  offset: number
  reduction: (typeof reductionKinds)[number]
  /** A preset's id; '' for a file. */
  preset: string
  file: string
  tensor: string
  k: number
  folder: string
  dtype: StoredType
}

export const emptyOutput = (): OutputDraft => ({
  site: 'hook_resid_post',
  layers: 'all',
  positions: 'all',
  at: '0, -1',
  step: 2,
  from: 0,
  pattern: '',
  spanEnd: 'last',
  offset: 0,
  reduction: 'none',
  preset: '',
  file: '',
  tensor: '',
  k: 32,
  folder: '',
  dtype: 'float16',
})

/** Integers of "0, 2-4"; null where it is none of that. @param least smallest that may be written */
export function integersOf(text: string, least: number): number[] | null {
  const found: number[] = []
  for (const part of text.split(/[\s,]+/).filter((piece) => piece !== '')) {
    const range = /^(\d+)-(\d+)$/.exec(part)
    if (range !== null) {
      const [from, to] = [Number(range[1]), Number(range[2])]
      if (from > to || to - from > 10_000) return null
      for (let i = from; i <= to; i++) found.push(i)
    } else if (/^-?\d{1,9}$/.test(part) && Number(part) >= least) found.push(Number(part))
    else return null
  }
  return found.length === 0 ? null : found
}

const isOuter = (site: string, model: ModelDescription): boolean =>
  model.hookPoints.some(({ name, layer }) => name === site && layer === null)

/** Hook points by name; null where the layers are none that the model has. */
export function hooksOf({ site, layers }: OutputDraft, model: ModelDescription): string[] | null {
  if (isOuter(site, model)) return [site]
  if (layers.trim().toLowerCase() === 'all') return [`blocks.*.${site}`]
  const chosen = integersOf(layers, 0)
  if (chosen === null || chosen.some((layer) => layer >= model.layers)) return null
  return [...new Set(chosen)].map((layer) => `blocks.${layer}.${site}`)
}

export interface MissingOfOutput {
  /** The field of the draft that it is about. */
  field: keyof OutputDraft
  /** In a sentence. */
  says: string
}

/** What is still missing or wrong; null when it can be extracted. @param hasSpan the data set marks a span */
export function missingOfOutput(
  draft: OutputDraft,
  model: ModelDescription,
  hasSpan: boolean,
): MissingOfOutput | null {
  const missing = (field: keyof OutputDraft, says: string): MissingOfOutput => ({ field, says })
  if (hooksOf(draft, model) === null)
    return missing(
      'layers',
      `Write the layers as “all” or like “0, 2-4”; this model has 0 to ${model.layers - 1}.`,
    )
  if (draft.positions === 'at' && integersOf(draft.at, -1e6) === null)
    return missing('at', 'Write positions like “0, 3-5, -1”; negative ones count from the end.')
  if (draft.positions === 'matching' && draft.pattern === '')
    return missing('pattern', 'Write what the tokens have to match.')
  if (draft.positions.startsWith('span') && !hasSpan)
    return missing(
      'positions',
      'Positions of a span need a span in the data set: choose how it is found there.',
    )
  if (draft.reduction === 'projection' && draft.preset === '' && draft.file === '')
    return missing('file', 'Choose the directions to project on.')
  if (draft.reduction === 'features' && draft.folder === '')
    return missing('folder', 'Choose the folder of the dictionary.')
  return null
}

function positionsOf(draft: OutputDraft): ExtractPositions {
  const { positions: kind, step, from, pattern, spanEnd, offset } = draft
  switch (kind) {
    case 'at':
      return { kind, positions: integersOf(draft.at, -1e6) ?? [] }
    case 'every':
      return { kind, step, from }
    case 'matching':
      return { kind, pattern }
    case 'span-offset':
      return { kind, from: spanEnd, offset }
    default:
      return { kind }
  }
}

function reductionOf({ reduction: kind, preset, file, tensor, k, folder }: OutputDraft): Reduction {
  switch (kind) {
    case 'projection':
      return {
        kind,
        directions:
          preset !== ''
            ? { kind: 'preset', id: preset }
            : { kind: 'file', path: file, ...(tensor.trim() === '' ? {} : { tensor: tensor.trim() }) },
      }
    case 'top':
      return { kind, k }
    case 'features':
      return { kind, folder, k }
    default:
      return { kind }
  }
}

/** As the contract takes it; null while something is missing. */
export function outputOf(draft: OutputDraft, model: ModelDescription): ExtractOutput | null {
  const hooks = hooksOf(draft, model)
  if (hooks === null) return null
  return { hooks, positions: positionsOf(draft), reduction: reductionOf(draft), dtype: draft.dtype }
}
