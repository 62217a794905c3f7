/** What the inspector says about a selection in the prompt view. */
import { hookDims, hookName, parseHook } from '../../../preload/hooks'
import type { ModelDescription } from '../../../preload/model'
import type { EncodedToken } from '../../../preload/prompt'
import { displayText } from '../../../preload/token-text'
import type { AttentionLayer, AttentionOverview, LensCell, LensMap } from '../../../preload/views'
import { formatNumber, formatProbability } from '../../charts/numbers'
import { tokenLabel } from '../../components/token-label'
import type { ExportAction, InspectorRow, InspectorSubject } from '../../stores/inspector'
import type { Selection } from '../../stores/selection'
import { lensToken, pointLabel } from './lens-data'

const fixed = (model: ModelDescription, positions: number): Record<string, number> => ({
  batch: 1,
  pos: positions,
  q_pos: positions,
  k_pos: positions,
  head: model.heads,
  kv_head: model.kvHeads,
  d_head: model.dHead,
  d_model: model.dModel,
  d_mlp: model.dMlp,
  d_vocab: model.vocab,
  one: 1,
})

/** "batch, pos, d_model = 1, 15, 128" */
export function shapeText(hook: string, model: ModelDescription, positions: number): string {
  const point = parseHook(hook)
  if (point === null) return 'unknown'
  const dims = hookDims(point)
  const sizes = fixed(model, positions)
  return `[${dims.join(', ')}] = [${dims.map((dim) => sizes[dim]).join(', ')}]`
}

const tokenRows = (tokens: readonly EncodedToken[], position: number): InspectorRow[] => {
  const token = position < tokens.length ? tokens[position] : null
  return [
    { label: 'Position', value: `${position} of ${tokens.length}` },
    ...(token === null
      ? []
      : [
          { label: 'Token', value: tokenLabel(token), mono: true },
          { label: 'Token id', value: String(token.id), mono: true },
          { label: 'Piece', value: displayText(token.piece), mono: true },
        ]),
  ]
}

/** A cell of the lens. */
export function lensSubject(
  lens: LensMap,
  cell: LensCell | null,
  model: ModelDescription,
  tokens: readonly EncodedToken[],
  { point, position }: Selection,
  exports: ExportAction[],
): InspectorSubject {
  const positions = lens.topIds.shape[1]
  const at = point * positions + position
  const hook = lens.points[point] ?? ''
  return {
    title: `Logit lens · ${pointLabel(point)} · position ${position}`,
    hook,
    shape: shapeText(hook, model, positions),
    rows: [
      ...tokenRows(tokens, position),
      { label: 'Top token', value: tokenLabel(lensToken(lens, lens.topIds.data[at])), mono: true },
      { label: 'Probability', value: formatProbability(lens.topProbabilities.data[at]), mono: true },
      { label: 'Entropy', value: `${formatNumber(lens.entropies.data[at])} nats`, mono: true },
      { label: 'Final token', value: `rank ${lens.finalRanks.data[at] + 1}`, mono: true },
    ],
    explanation:
      'softmax(unembed(final_norm(h))) of the residual stream h at this point: what the model would predict if the ' +
      'blocks above were left out (logit lens; nostalgebraist 2020). “block 3” is the stream behind block 3.',
    evidence: (cell ?? lens).evidence,
    exports,
  }
}

/** A head, at the selected query. */
export function headSubject(
  layer: AttentionLayer,
  overview: AttentionOverview | null,
  model: ModelDescription,
  tokens: readonly EncodedToken[],
  { head, position }: Selection,
  exports: ExportAction[],
): InspectorSubject {
  const hook = hookName({ layer: layer.layer, site: 'attn.hook_pattern' })
  const n = layer.patterns.shape[1]
  const row = layer.patterns.data.subarray(
    (head * n + position) * n,
    (head * n + position) * n + position + 1,
  )
  const strongest = row.reduce((best, value, key) => (value > row[best] ? key : best), 0)
  const i = layer.layer * model.heads + head
  return {
    title: `Layer ${layer.layer} · head ${head}`,
    hook,
    shape: shapeText(hook, model, n),
    rows: [
      ...tokenRows(tokens, position),
      {
        label: 'Reads most',
        value: `${strongest} ${strongest < tokens.length ? tokenLabel(tokens[strongest]) : ''} (${formatNumber(row[strongest] ?? 0)})`,
        mono: true,
      },
      ...(overview === null
        ? []
        : [
            { label: 'To previous', value: `${formatNumber(overview.toPrevious.data[i])} mean`, mono: true },
            { label: 'To first', value: `${formatNumber(overview.toFirst.data[i])} mean`, mono: true },
            { label: 'Entropy', value: `${formatNumber(overview.entropy.data[i])} nats mean`, mono: true },
          ]),
    ],
    explanation:
      'Attention probabilities of this head: softmax over the keys of q·k / √d_head, with later positions masked. ' +
      'Attention says where a head reads, not what that changes.',
    evidence: layer.evidence,
    exports,
  }
}
