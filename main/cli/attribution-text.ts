/** Attributions as a terminal shows them: the largest parts first, and what they add up to. */
import type {
  AttributionPatching,
  DirectAttribution,
  EffectMap,
  TokenAttribution,
} from '../../preload/attribution'
import type { TokenInfo } from '../../preload/prompt'
import { forTerminal } from './output'

const SHOWN = 20

const number = (value: number): string => value.toFixed(4).padStart(10)
const quoted = ({ text }: TokenInfo): string => forTerminal(JSON.stringify(text))

interface Part {
  name: string
  value: number
}

/** The largest by magnitude, and the sum of the others. */
function largest(parts: readonly Part[]): string[] {
  const sorted = parts
    .filter(({ value }) => Number.isFinite(value))
    .sort((a, b) => Math.abs(b.value) - Math.abs(a.value))
  const lines = sorted.slice(0, SHOWN).map(({ name, value }) => `${number(value)}  ${name}`)
  const rest = sorted.slice(SHOWN)
  if (rest.length > 0)
    lines.push(`${number(rest.reduce((sum, { value }) => sum + value, 0))}  ${rest.length} others`)
  return lines
}

export function directText(result: DirectAttribution): string {
  const { positive, negative, heads, attentionBias, mlps } = result
  const width = heads.shape[1]
  const parts: Part[] = [
    { name: 'embedding', value: result.embedding },
    { name: 'constant', value: result.constant },
    ...Array.from(heads.data, (value, i) => ({ name: `head ${Math.floor(i / width)}.${i % width}`, value })),
    ...Array.from(mlps, (value, layer) => ({ name: `MLP ${layer}`, value })),
    ...Array.from(attentionBias, (value, layer) => ({ name: `attention bias ${layer}`, value })).filter(
      ({ value }) => value !== 0,
    ),
  ]
  const what = negative === null ? quoted(positive) : `${quoted(positive)} − ${quoted(negative)}`
  const lines = [
    `logit ${what} after position ${result.position}: ${result.logit.toFixed(4)}`,
    ...largest(parts),
    `${number(result.total)}  total (remainder ${result.remainder.toExponential(1)})`,
    ...(result.neurons?.top ?? []).map(
      ({ layer, neuron, contribution, activation }) =>
        `${number(contribution)}  neuron ${layer}.${neuron} (activation ${activation.toFixed(4)})`,
    ),
    ...result.notes,
  ]
  return `${lines.join('\n')}\n`
}

export function tokensText(result: TokenAttribution, tokens: readonly TokenInfo[]): string {
  const lines = [
    `metric ${result.metric.toFixed(4)}${result.baselineMetric === null ? '' : `, at the baseline ${result.baselineMetric.toFixed(4)}`}`,
    ...tokens.map(
      (token, position) =>
        `${number(result.scores[position])}  ${String(position).padStart(4)}  ${quoted(token)}`,
    ),
    ...(result.gap === null
      ? []
      : [`${number(result.gap)}  completeness gap: scores − (metric − metric at the baseline)`]),
  ]
  return `${lines.join('\n')}\n`
}

export function patchingText(result: AttributionPatching, tokens: readonly TokenInfo[]): string {
  const { ends } = result
  const positions = tokens.length
  const byPosition = (name: string, map: EffectMap | null): Part[] =>
    Array.from(map?.effect.data ?? [], (value, i) => {
      const [layer, position] = [Math.floor(i / positions), i % positions]
      return { name: `${name} ${layer} at ${position} ${quoted(tokens[position])}`, value }
    })
  const heads = result.heads?.effect.shape[1] ?? 1
  const groups: [string, Part[]][] = [
    ['residual stream', byPosition('block', result.residPre)],
    ['attention', byPosition('attention', result.attnOut)],
    ['MLPs', byPosition('MLP', result.mlpOut)],
    [
      'heads',
      Array.from(result.heads?.effect.data ?? [], (value, i) => ({
        name: `head ${Math.floor(i / heads)}.${i % heads}`,
        value,
      })),
    ],
    [
      'neurons',
      (result.neurons ?? []).map(({ layer, neuron, effect }) => ({
        name: `neuron ${layer}.${neuron}`,
        value: effect,
      })),
    ],
  ]
  const lines = [
    `metric: clean ${ends.clean.toFixed(4)}, corrupt ${ends.corrupt.toFixed(4)}; estimated effects of ${result.direction}`,
    ...(ends.problem === null ? [] : [ends.problem]),
    ...groups.flatMap(([name, parts]) => (parts.length === 0 ? [] : [`${name}:`, ...largest(parts)])),
    ...result.notes,
  ]
  return `${lines.join('\n')}\n`
}
