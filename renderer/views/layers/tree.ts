/** The model as rows of a tree, top to bottom as data flows: groups (embedding, blocks, final norm, …) and what is in them. */
import type { HookPointInfo, ModelDescription, ParameterInfo } from '../../../preload/model'
import { formatBytes } from '../../charts/numbers'
import { blockFlow, outerFlow, type Flow } from './flow'

export interface GroupRow {
  kind: 'group'
  id: string
  title: string
  /** A few words on the right: how many, how large. */
  detail: string
  open: boolean
  /** It has rows of its own; the unembedding has no hook points. */
  hollow: boolean
}
export interface HookRow {
  kind: 'hook'
  id: string
  hook: HookPointInfo
  flow: Flow
}
export interface ParameterRow {
  kind: 'parameter'
  id: string
  /** Its name without what all names of its group begin with. */
  name: string
  parameter: ParameterInfo
}
export type TreeRow = GroupRow | HookRow | ParameterRow

export interface TreeGroup<R extends HookRow | ParameterRow> {
  id: string
  title: string
  detail: string
  rows: R[]
}

export const blockGroup = (layer: number): string => `block ${layer}`

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`

/** Hook points by group, in the order of the forward pass. */
export function hookGroups(model: ModelDescription): TreeGroup<HookRow>[] {
  const outer = model.hookPoints.filter((hook) => hook.layer === null)
  const outerRows = (test: (site: string) => boolean): HookRow[] =>
    outer
      .filter((hook) => test(hook.site))
      .map((hook) => ({ kind: 'hook', id: hook.name, hook, flow: outerFlow(hook.site) }))
  const group = (id: string, title: string, rows: HookRow[]): TreeGroup<HookRow> => ({
    id,
    title,
    detail: rows.length === 0 ? 'no hook points' : counted(rows.length, 'hook point'),
    rows,
  })
  const blocks = Array.from({ length: model.layers }, (_, layer) => {
    const hooks = model.hookPoints.filter((hook) => hook.layer === layer)
    const flows = blockFlow(hooks)
    const rows = hooks.map((hook, i): HookRow => ({ kind: 'hook', id: hook.name, hook, flow: flows[i] }))
    return group(blockGroup(layer), `Block ${layer}`, rows)
  })
  return [
    group(
      'embedding',
      'Embedding',
      outerRows((site) => !site.startsWith('ln_final')),
    ),
    ...blocks,
    group(
      'final norm',
      'Final norm',
      outerRows((site) => site.startsWith('ln_final')),
    ),
    {
      id: 'unembedding',
      title: 'Unembedding',
      detail: `logits [batch, pos, d_vocab ${model.vocab}]`,
      rows: [],
    },
  ]
}

/** Parameters by block, as they are called in the file. */
export function parameterGroups(model: ModelDescription): TreeGroup<ParameterRow>[] {
  const group = (id: string, title: string, layer: number | null): TreeGroup<ParameterRow> => {
    const of = model.parameters.filter((parameter) => parameter.layer === layer)
    const prefix = layer === null ? 0 : commonPrefix(of.map((parameter) => parameter.name))
    const bytes = of.reduce((sum, parameter) => sum + parameter.bytes, 0)
    return {
      id,
      title,
      detail: `${counted(of.length, 'tensor')}, ${formatBytes(bytes)}`,
      rows: of.map((parameter) => ({
        kind: 'parameter',
        id: parameter.name,
        name: parameter.name.slice(prefix),
        parameter,
      })),
    }
  }
  return [
    group('outside', 'Outside of the blocks', null),
    ...Array.from({ length: model.layers }, (_, layer) => group(blockGroup(layer), `Block ${layer}`, layer)),
  ]
}

/** Length of what all names begin with, up to and with a dot. */
function commonPrefix(names: readonly string[]): number {
  const first = names.at(0) ?? ''
  let length = first.lastIndexOf('.') + 1
  while (length > 0 && !names.every((name) => name.startsWith(first.slice(0, length))))
    length = first.lastIndexOf('.', length - 2) + 1
  return length
}

const wordsOf = (row: HookRow | ParameterRow): string =>
  (row.kind === 'hook'
    ? [row.hook.name, row.hook.meaning, ...row.hook.dims].join(' ')
    : [row.parameter.name, row.parameter.storage, row.parameter.shape.join(' × ')].join(' ')
  ).toLowerCase()

/**
 * The rows to be shown.
 * @param filter words that must all occur in a row's name, meaning or shape; with any, all groups with hits are open
 */
export function visibleRows<R extends HookRow | ParameterRow>(
  groups: readonly TreeGroup<R>[],
  open: ReadonlySet<string>,
  filter: string,
): (GroupRow | R)[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean)
  const out: (GroupRow | R)[] = []
  for (const group of groups) {
    const rows = words.length === 0 ? group.rows : group.rows.filter((row) => hits(group.title, row, words))
    if (words.length > 0 && rows.length === 0) continue
    const isOpen = words.length > 0 || open.has(group.id)
    out.push({
      kind: 'group',
      id: group.id,
      title: group.title,
      detail: words.length === 0 ? group.detail : `${rows.length} of ${group.rows.length}`,
      open: isOpen && group.rows.length > 0,
      hollow: group.rows.length === 0,
    })
    if (isOpen) out.push(...rows)
  }
  return out
}

/** `block 3` is matched through the group's title, so that a filter may name the block and the site. */
const hits = (title: string, row: HookRow | ParameterRow, words: readonly string[]): boolean => {
  const text = `${title.toLowerCase()} ${wordsOf(row)}`
  return words.every((word) => text.includes(word))
}
