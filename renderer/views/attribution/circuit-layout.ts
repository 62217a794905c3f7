/**
 * Where the parts of a circuit are drawn: the embedding below, then the heads and the MLP of each layer that has an edge,
 * the logits on top. An edge leaves a part above and enters below: queries left, keys in the middle, values right.
 */
import type { EdgeSource, EdgeTarget, ScoredEdge } from '../../../preload/attribution'
import type { ChartTheme } from '../../charts/theme'
import type { Drawing } from '../../exports/drawing'
import { sourceName, targetName } from './words'

export interface CircuitNode {
  id: string
  kind: 'embed' | 'head' | 'mlp' | 'logits'
  layer: number | null
  head: number | null
  /** Short, for the box; `name` in full. */
  label: string
  name: string
  /** Centre, in px. */
  x: number
  y: number
}

export interface CircuitEdge {
  from: string
  to: string
  score: number
  name: string
  path: string
  width: number
}

export interface CircuitDrawing {
  width: number
  height: number
  nodes: CircuitNode[]
  edges: CircuitEdge[]
  /** Layers with their height, for labels at the left. */
  layers: { layer: number; y: number }[]
}

export const nodeWidth = 46
export const nodeHeight = 22
const left = 56
const rowHeight = 46
const margin = 26
const portOffset = { q: -13, k: 0, v: 13, mlp: 0, logits: 0 } as const

const idOf = (kind: CircuitNode['kind'], layer: number | null, head: number | null): string =>
  [kind, layer, head].filter((part) => part !== null).join(' ')

/** The query head that stands for an edge's target: for keys and values the first of those that share them. */
function headOf(target: EdgeTarget & { kind: 'q' | 'k' | 'v' }, group: number): number {
  return target.kind === 'q' ? target.head : target.head * group
}

function nodeOf(part: EdgeSource | EdgeTarget, group: number): Omit<CircuitNode, 'x' | 'y'> {
  switch (part.kind) {
    case 'embed':
      return { id: 'embed', kind: 'embed', layer: null, head: null, label: 'embed', name: 'embedding' }
    case 'logits':
      return { id: 'logits', kind: 'logits', layer: null, head: null, label: 'logits', name: 'logits' }
    case 'mlp':
      return {
        id: idOf('mlp', part.layer, null),
        kind: 'mlp',
        layer: part.layer,
        head: null,
        label: `M${part.layer}`,
        name: `MLP ${part.layer}`,
      }
    case 'head':
    case 'q':
    case 'k':
    case 'v': {
      const head = part.kind === 'head' ? part.head : headOf(part, group)
      return {
        id: idOf('head', part.layer, head),
        kind: 'head',
        layer: part.layer,
        head,
        label: `${part.layer}.${head}`,
        name: `head ${part.layer}.${head}`,
      }
    }
  }
}

/**
 * @param edges strongest first
 * @param width room in px; heads are spread over it
 */
export function circuitLayout(
  edges: readonly ScoredEdge[],
  { heads, kvHeads }: { heads: number; kvHeads: number },
  width: number,
): CircuitDrawing {
  const group = Math.max(1, Math.round(heads / kvHeads))
  const found = new Map<string, Omit<CircuitNode, 'x' | 'y'>>()
  for (const { from, to } of edges)
    for (const node of [nodeOf(from, group), nodeOf(to, group)]) found.set(node.id, node)
  const parts = [...found.values()]
  const rows = [
    ...new Set(parts.filter(({ layer }) => layer !== null).map(({ kind, layer }) => `${layer} ${kind}`)),
  ].sort((a, b) => rank(a) - rank(b))
  const height = 2 * margin + nodeHeight + (rows.length + 1) * rowHeight
  const across = Math.max(width, left + heads * (nodeWidth + 6) + margin)
  const yOf = (row: number): number => height - margin - nodeHeight / 2 - row * rowHeight
  const middle = left + (across - left - margin) / 2
  const nodes = parts.map((part): CircuitNode => {
    if (part.layer === null)
      return { ...part, x: middle, y: yOf(part.kind === 'embed' ? 0 : rows.length + 1) }
    const y = yOf(1 + rows.indexOf(`${part.layer} ${part.kind}`))
    const x = part.head === null ? middle : left + ((part.head + 0.5) / heads) * (across - left - margin)
    return { ...part, x, y }
  })
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const most = Math.max(...edges.map(({ score }) => Math.abs(score)), Number.MIN_VALUE)
  const drawn = edges.flatMap((edge): CircuitEdge[] => {
    const from = byId.get(nodeOf(edge.from, group).id)
    const to = byId.get(nodeOf(edge.to, group).id)
    if (from === undefined || to === undefined) return []
    return [
      {
        from: from.id,
        to: to.id,
        score: edge.score,
        name: `${sourceName(edge.from)} → ${targetName(edge.to)}`,
        path: curve(from, to, portOffset[edge.to.kind]),
        width: 0.6 + 4.4 * (Math.abs(edge.score) / most),
      },
    ]
  })
  const layers = [...new Set(nodes.flatMap(({ layer }) => layer ?? []))].map((layer) => ({
    layer,
    y: Math.max(...nodes.filter((node) => node.layer === layer).map(({ y }) => y)),
  }))
  return { width: across, height, nodes, edges: drawn, layers }
}

/** Heads of a layer below its MLP. */
function rank(row: string): number {
  const [layer, kind] = row.split(' ')
  return 2 * Number(layer) + (kind === 'mlp' ? 1 : 0)
}

function curve(from: CircuitNode, to: CircuitNode, port: number): string {
  const [x0, y0] = [from.x, from.y - nodeHeight / 2]
  const [x1, y1] = [to.x + port, to.y + nodeHeight / 2]
  const bend = Math.max(14, (y0 - y1) / 2)
  return `M${x0} ${y0}C${x0} ${y0 - bend} ${x1} ${y1 + bend} ${x1} ${y1}`
}

/** An edge whose corruption lowers the metric carries it; one whose corruption raises it works against it. */
export const edgeColour = (score: number, theme: Pick<ChartTheme, 'left' | 'right'>): string =>
  score < 0 ? theme.left : theme.right

/** The circuit as it is exported. */
export const circuitPicture = ({ width, height, nodes, edges, layers }: CircuitDrawing): Drawing => ({
  width,
  height,
  draw(strokes, theme) {
    for (const { layer, y } of layers) strokes.text(8, y, `layer ${layer}`, theme.muted, 'start', false)
    for (const edge of [...edges].reverse())
      strokes.path(edge.path, edgeColour(edge.score, theme), edge.width, 0.6)
    for (const { x, y, label } of nodes) {
      const box = [x - nodeWidth / 2, y - nodeHeight / 2, nodeWidth, nodeHeight] as const
      strokes.rect(...box, theme.surface)
      strokes.outline(...box, theme.stripe, 1, false)
      strokes.text(x, y, label, theme.text, 'middle', false)
    }
  },
})
