/** Attributions as tables: one row a number, for spreadsheets and pandas (`read_csv(file, skiprows=1)`). */
import type {
  AttributionPatching,
  DirectAttribution,
  EffectMap,
  TokenAttribution,
} from '../../../preload/attribution'
import type { TokenInfo } from '../../../preload/prompt'
import type { Provenance } from '../../../preload/run'
import { unravel } from '../../../preload/tensor'
import { numberCell, provenanceCell, textCell } from '../csv'

type Cell = string | number | null

/** `component,layer,head,neuron,contribution`; the last row is the logit (difference) that they add up to. */
export function directCsv(result: DirectAttribution): string {
  const [layers, heads] = result.heads.shape
  const rows: Cell[][] = [['embedding', null, null, null, result.embedding]]
  for (let layer = 0; layer < layers; layer++) {
    for (let head = 0; head < heads; head++)
      rows.push(['head', layer, head, null, result.heads.data[layer * heads + head]])
    rows.push(['attention_bias', layer, null, null, result.attentionBias[layer]])
    rows.push(['mlp', layer, null, null, result.mlps[layer]])
  }
  for (const { layer, neuron, contribution } of result.neurons?.top ?? [])
    rows.push(['neuron', layer, null, neuron, contribution])
  rows.push(['constant', null, null, null, result.constant])
  rows.push(['remainder', null, null, null, result.remainder])
  rows.push(['logit_before_softcap', null, null, null, result.uncapped])
  const header = ['component', 'layer', 'head', 'neuron', 'contribution']
  return table('direct logit attribution', result.evidence.provenance, header, rows)
}

/** `position,id,token,score,norm` */
export function tokensCsv(result: TokenAttribution, tokens: readonly TokenInfo[]): string {
  const rows = tokens.map(({ id, text }, position): Cell[] => [
    position,
    id,
    text,
    result.scores[position],
    result.norms[position],
  ])
  const header = ['position', 'id', 'token', 'score', 'norm']
  return table(result.method, result.evidence.provenance, header, rows)
}

/** `site,layer,head,neuron,position,token,effect,normalised`; positions are those of the prompt that is run. */
export function patchingCsv(result: AttributionPatching, tokens: readonly TokenInfo[]): string {
  const rows: Cell[][] = []
  const add = (
    site: string,
    map: EffectMap | null,
    axes: readonly ('layer' | 'head' | 'position')[],
  ): void => {
    map?.effect.data.forEach((effect, flat) => {
      const at = unravel(map.effect.shape, flat)
      const of = (axis: 'layer' | 'head' | 'position'): number | null => at[axes.indexOf(axis)] ?? null
      const position = of('position')
      const token = position === null ? null : tokens[position].text
      const normalised = map.normalised?.data[flat] ?? null
      rows.push([site, of('layer'), of('head'), null, position, token, effect, normalised])
    })
  }
  add('resid_pre', result.residPre, ['layer', 'position'])
  add('attn_out', result.attnOut, ['layer', 'position'])
  add('mlp_out', result.mlpOut, ['layer', 'position'])
  add('z', result.heads, ['layer', 'head'])
  add('z_by_position', result.headsByPosition, ['layer', 'head', 'position'])
  for (const { layer, neuron, effect, normalised } of result.neurons ?? [])
    rows.push(['neuron', layer, null, neuron, null, null, effect, normalised])
  const header = ['site', 'layer', 'head', 'neuron', 'position', 'token', 'effect', 'normalised']
  return table(`attribution patching (${result.direction})`, result.evidence.provenance, header, rows)
}

function table(
  what: string,
  provenance: Provenance,
  header: readonly string[],
  rows: readonly (readonly Cell[])[],
): string {
  const cell = (value: Cell): string =>
    value === null ? '' : typeof value === 'number' ? numberCell(value) : textCell(value)
  const lines = [
    provenanceCell(what, provenance),
    header.join(','),
    ...rows.map((row) => row.map(cell).join(',')),
  ]
  return `${lines.join('\n')}\n`
}
