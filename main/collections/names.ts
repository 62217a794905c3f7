/**
 * Names. An output's name is for people and unique in its collection: `hook[positions]{reduction}`. The name of a row's
 * value in the store says which positions those were and what was done to them, so that the same numbers have the same name
 * whatever rule led to them; all positions as they are have the hook point's own, under which every run finds them.
 */
import { createHash, randomBytes } from 'node:crypto'
import { canonicalJson } from '../../preload/canonical'
import { PatchbayError } from '../../preload/errors'
import type { ExtractPositions, Reduction } from '../../preload/extraction'
import { quoted } from '../models/formats/malformed'

/** What of an output its hook point, positions and reduction do not say. */
export interface OutputContent {
  /** sha256 in hex of what is projected on, or of the dictionary. */
  content?: string
  /** Which of the two outputs of a reduction to the largest. */
  part?: 'values' | 'indices'
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** Text that stands in a name as it is; what is longer, or not plain, is named by its hash. */
const plain = (text: string): string =>
  text.length <= 80 && /^[\x20-\x7e]*$/.test(text) && !/[[\]{}]/.test(text)
    ? text
    : `#${sha256(text).slice(0, 16)}`

function positionsText(positions: ExtractPositions): string {
  switch (positions.kind) {
    case 'all':
    case 'last':
    case 'text':
    case 'span':
      return positions.kind
    case 'at':
      return `at ${plain(positions.positions.join(','))}`
    case 'every':
      return `every ${positions.step} from ${positions.from}`
    case 'matching':
      return `matching ${plain(JSON.stringify(positions.pattern))}`
    case 'span-offset':
      return `span ${positions.from} ${positions.offset < 0 ? '' : '+'}${positions.offset}`
  }
}

function reductionText(reduction: Reduction, { content, part = 'values' }: OutputContent): string {
  const of = (): string => {
    if (content === undefined || !/^[0-9a-f]{64}$/.test(content))
      throw new PatchbayError(
        'internal',
        `The reduction ${reduction.kind} is named without its content's hash.`,
      )
    return content.slice(0, 16)
  }
  switch (reduction.kind) {
    case 'none':
      return ''
    case 'mean':
    case 'max':
    case 'norm':
      return `{${reduction.kind}}`
    case 'projection':
      return `{projection ${of()}}`
    case 'top':
      return `{top ${reduction.k} ${part}}`
    case 'features':
      return `{features ${of()} ${reduction.k} ${part}}`
  }
}

/**
 * The name of an output in its collection: the hook point alone for all positions as they are, else
 * `hook[positions]{reduction}`.
 * @param extra the hash of a projection's directions or a dictionary; which part of a top-k
 */
export function outputName(
  hook: string,
  positions: ExtractPositions,
  reduction: Reduction,
  extra: OutputContent = {},
): string {
  const what = reductionText(reduction, extra)
  return positions.kind === 'all' && what === '' ? hook : `${hook}[${positionsText(positions)}]${what}`
}

/** `0-3,7`: ascending positions as ranges. */
function rangesText(positions: readonly number[]): string {
  const ranges: string[] = []
  for (let i = 0; i < positions.length;) {
    let end = i
    while (end + 1 < positions.length && positions[end + 1] === positions[end] + 1) end++
    ranges.push(end === i ? String(positions[i]) : `${positions[i]}-${positions[end]}`)
    i = end + 1
  }
  return ranges.join(',')
}

/**
 * Under what name the store has a row's value.
 * @param positions those that were selected, in their order; null for an output without a rule for positions
 * @param length tokens of the row
 */
export function entryOutput(
  hook: string,
  positions: readonly number[],
  length: number,
  reduction: Reduction,
  extra: OutputContent = {},
): string {
  const what = reductionText(reduction, extra)
  const all = positions.length === length && positions.every((position, i) => position === i)
  if (all && what === '') return hook
  const text = rangesText(positions)
  return `${hook}[${all ? 'all' : text.length <= 200 ? text : `#${sha256(text)}`}]${what}`
}

/** The set in the activation store that a collection's values lie in. */
export const setOf = (id: string): string => `collection-${id}`

/** A new id out of a name, never one that is there. */
export function newId(name: string): string {
  const stem = name
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '') // accents, now apart from their letters
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 36)
    .replace(/-+$/, '')
  return `${stem === '' ? 'collection' : stem}-${randomBytes(5).toString('hex')}`
}

/** Ids come over the wire and become folder names; with the set's prefix they have to fit the store's names. */
export function checkId(id: string): string {
  if (/^[0-9a-z][0-9a-z-]{0,51}$/.test(id)) return id
  throw unknownCollection(id)
}

export const unknownCollection = (id: string): PatchbayError =>
  new PatchbayError('input.invalid', `There is no collection ${quoted(id)}.`, {
    field: 'id',
    next: 'Choose one of the collections that are listed.',
  })

/** A short hash of what something was computed from, for caches. */
export const contentKey = (value: unknown): string => sha256(canonicalJson(value))
