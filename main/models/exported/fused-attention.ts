/**
 * Attention as one operator: ONNX's own, or one of ONNX Runtime's. Queries, keys, values and z are values around it;
 * scores and pattern are not.
 */
import type { BlockSite } from '../../../preload/hooks'
import { integerOf } from '../../onnx/exported/attributes'
import type { OnnxNode } from '../../onnx/exported/model'
import type { Attention } from './attention'
import type { Cone, GraphView } from './graph-view'
import { layoutTail } from './linear'
import type { Norms } from './norms'
import { operandSites, type Past } from './operands'
import { siteAmong, type Axes, type FoundSite } from './sites'

interface Operator {
  readonly domain: string
  /** Places of the keys and values of earlier positions among the inputs. */
  readonly past: number
  readonly heads: string
  readonly kvHeads: string
  /** Whether columns between a row's prompt and what was generated behind it can be masked. */
  readonly gaps: boolean
}

const operators: ReadonlyMap<string, Operator> = new Map([
  ['Attention', { domain: '', past: 4, heads: 'q_num_heads', kvHeads: 'kv_num_heads', gaps: true }],
  [
    'MultiHeadAttention',
    { domain: 'com.microsoft', past: 6, heads: 'num_heads', kvHeads: 'num_heads', gaps: true },
  ],
  [
    'GroupQueryAttention',
    { domain: 'com.microsoft', past: 3, heads: 'num_heads', kvHeads: 'kv_num_heads', gaps: false },
  ],
])

export const isFusedAttention = ({ domain, op }: OnnxNode): boolean => operators.get(op)?.domain === domain

export function findFusedAttention(
  view: GraphView,
  norms: Norms,
  cone: Cone,
  node: OnnxNode,
  { batch, pos }: Axes,
): Attention | null {
  const operator = operators.get(node.op)
  const shape = view.shape(node.outputs[0])
  if (operator === undefined || shape === null) return null
  const heads = integerOf(node, operator.heads) ?? (shape.length === 4 ? Number(shape[1]) : 0)
  const width = shape[shape.length - 1]
  const headDim = shape.length === 4 ? width : Number(width) / heads
  if (typeof headDim !== 'number' || !Number.isInteger(headDim) || heads === 0) return null
  const kvHeads = integerOf(node, operator.kvHeads) ?? heads

  const sites = new Map<BlockSite, FoundSite>()
  const missing = new Map<BlockSite, string>()
  const put = (site: BlockSite, found: FoundSite | null, reason: string): void => {
    if (found === null) missing.set(site, reason)
    else sites.set(site, found)
  }
  const inner = `attention is one operator here (${node.op}), in which it is no value`
  missing.set('attn.hook_attn_scores', inner)
  missing.set('attn.hook_pattern', inner)
  const z = siteAmong(view, layoutTail(view, node.outputs[0]), [batch, pos, heads, headDim])
  put('attn.hook_z', z, 'no value has the layout of z')
  const operand = (index: number, count: number) =>
    operandSites(view, norms, cone, node.inputs.at(index) || null, { batch, pos, headDim, count })
  const [q, k, v] = [operand(0, heads), operand(1, kvHeads), operand(2, kvHeads)]
  const unfound = 'it does not come out of one projection'
  put('attn.hook_q', q.plain, unfound)
  put('attn.hook_k', k.plain, unfound)
  put('attn.hook_v', v.plain, unfound)
  if (q.rotated !== null || k.rotated !== null) {
    put('attn.hook_rot_q', q.rotated, inner)
    put('attn.hook_rot_k', k.rotated, inner)
  } else if (integerOf(node, 'do_rotary') === 1) {
    missing.set('attn.hook_rot_q', inner)
    missing.set('attn.hook_rot_k', inner)
  }
  const past = [0, 1].map((which) => pastOf(view, node, operator.past + which, 1 + which))
  const whole = past[0] === null || past[1] === null ? null : { key: past[0], value: past[1] }
  return { heads, kvHeads, headDim, sites, missing, past: whole, gaps: operator.gaps }
}

function pastOf(view: GraphView, node: OnnxNode, input: number, output: number): Past | null {
  const [fed, made] = [node.inputs.at(input) ?? '', node.outputs.at(output) ?? '']
  const present = made === '' ? null : view.outputOf(made)
  return view.isInput(fed) && present !== null ? { input: fed, present } : null
}
