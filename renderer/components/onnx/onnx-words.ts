/** What was recognised in an exported graph, in words and groups. Names in it were written by strangers. */
import { parseHook } from '../../../preload/hooks'
import type { GraphInput, GraphValue, OnnxReport } from '../../../preload/onnx-report'
import { formatCount } from '../../charts/numbers'
import { plain } from '../hub/hub-words'
import type { IconName } from '../icons'

/** Stands before the name of a value of the graph where it is used as a hook point. */
export const rawName = (value: string): string => `value:${value}`

export interface Finding {
  icon: IconName
  kind: 'good' | 'limit'
  text: string
}

const sum = (count: number, one: string, many = `${one}s`): string =>
  `${formatCount(count)} ${count === 1 ? one : many}`

/** What one can expect of it, most important first. */
export function findingsOf(report: OnnxReport): Finding[] {
  const good = (text: string): Finding => ({ icon: 'done', kind: 'good', text })
  const limit = (text: string): Finding => ({ icon: 'warning', kind: 'limit', text })
  const { decoder, whole, generation, contextLength, contextSource } = report
  const positions = sum(contextLength, 'position')
  return [
    ...(decoder === null
      ? [limit('No residual stream was found: it runs in one piece, without lens, layers and steering.')]
      : [
          good(`A decoder of ${sum(decoder.layers, 'block')}, found by the structure of its graph.`),
          whole === null
            ? good('Cut at the residual stream and run block by block: lens, patching and steering work.')
            : limit(`Runs in one piece, because ${plain(whole, 200)}: no logit lens.`),
        ]),
    generation === 'cache'
      ? good('Generates on kept keys and values.')
      : limit('Takes no keys and values of earlier tokens: each new token computes the whole text again.'),
    {
      table: good(`${positions} of context, the length of its own table.`),
      config: good(`${positions} of context, by the config.json beside it.`),
      unstated: limit(`Nothing says how much context it was made for; up to ${positions} are taken.`),
    }[contextSource],
  ]
}

export interface Size {
  label: string
  value: string
}

/** Sizes of the decoder and of the graph; those that were not found are left out. */
export function sizesOf({ decoder, vocab, nodes, weights, operatorSets, producer }: OnnxReport): Size[] {
  const heads =
    decoder === null || decoder.heads === null || decoder.kvHeads === decoder.heads
      ? decoder?.heads
      : `${decoder.heads} (${decoder.kvHeads ?? '?'} kv)`
  const sizes: [string, number | string | null | undefined][] = [
    ['layers', decoder?.layers],
    ['d_model', decoder?.dModel],
    ['heads', heads],
    ['d_head', decoder?.dHead],
    ['d_mlp', decoder?.dMlp],
    ['d_vocab', vocab],
    ['nodes', nodes],
    ['weights', weights],
    ['exported by', plain(producer, 60) || 'not said'],
    ['operator sets', plain(operatorSets, 120)],
  ]
  return sizes.flatMap(([label, size]) =>
    size === null || size === undefined
      ? []
      : [{ label, value: typeof size === 'number' ? formatCount(size) : size }],
  )
}

export interface InputGroup {
  names: string
  role: string
  type: string
}

/** The inputs; keys and values of the layers in one line each. */
export function inputsOf(inputs: readonly GraphInput[]): InputGroup[] {
  const groups = new Map<string, GraphInput[]>()
  for (const input of inputs) groups.set(input.role, [...(groups.get(input.role) ?? []), input])
  return [...groups.values()].map((group) => {
    const [first] = group
    const last = group[group.length - 1]
    return {
      names: group.length === 1 ? plain(first.name) : `${plain(first.name)} … ${plain(last.name)}`,
      role: group.length === 1 ? first.role : `${first.role} (${group.length})`,
      type: `${first.type ?? '?'} ${plain(first.shape)}`,
    }
  })
}

/** The same site in several blocks, or one thing that is in none. */
export interface HookGroup {
  /** `blocks.{i}.attn.hook_z` */
  name: string
  layers: number[]
  /** Why it is missing; empty where it was found. */
  reason: string
}

function grouped(entries: readonly { what: string; reason: string }[]): HookGroup[] {
  const groups = new Map<string, HookGroup>()
  for (const { what, reason } of entries) {
    const point = parseHook(what)
    const layer = point?.layer ?? null
    const name = layer === null || point === null ? plain(what, 200) : `blocks.{i}.${point.site}`
    const key = JSON.stringify([name, reason])
    const group = groups.get(key) ?? { name, layers: [], reason: plain(reason, 300) }
    if (layer !== null) group.layers.push(layer)
    groups.set(key, group)
  }
  return [...groups.values()]
}

/** Recognised hook points, and what was looked for and not found: each site once. */
export const foundOf = ({ hooks }: OnnxReport): HookGroup[] =>
  grouped(hooks.map(({ hook }) => ({ what: hook, reason: '' })))
export const missingOf = ({ missing }: OnnxReport): HookGroup[] => grouped(missing)

/** "in all blocks", "in block 3", "in blocks 0–3, 7"; empty for what belongs to none. */
export function whereOf({ layers }: HookGroup, all: number): string {
  if (layers.length === 0) return ''
  const sorted = [...new Set(layers)].sort((a, b) => a - b)
  if (sorted.length === all) return all === 1 ? 'in its block' : 'in all blocks'
  const ranges: [number, number][] = []
  for (const layer of sorted) {
    const last = ranges.at(-1)
    if (last !== undefined && layer === last[1] + 1) last[1] = layer
    else ranges.push([layer, layer])
  }
  const text = ranges.map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`)).join(', ')
  return sorted.length === 1 ? `in block ${text}` : `in blocks ${text}`
}

/** Values with all of these words in their name, operator or hook points. */
export function matching(values: readonly GraphValue[], words: string): readonly GraphValue[] {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean)
  if (wanted.length === 0) return values
  return values.filter(({ name, operator, hooks }) => {
    const text = [name, operator, ...hooks].join(' ').toLowerCase()
    return wanted.every((word) => text.includes(word))
  })
}

/** "MatMul · float32 [batch_size, sequence_length, 32]" */
export const valueFacts = ({ operator, type, shape }: GraphValue): string =>
  `${plain(operator, 40)} · ${type ?? 'type not known'}${shapeWords[shape] ?? ` ${plain(shape, 200)}`}`
const shapeWords: Readonly<Partial<Record<string, string>>> = {
  '?': ', shape not known',
  '[]': ', one number',
}
