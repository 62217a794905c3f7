/**
 * Direct logit attribution (nostalgebraist 2020; Elhage et al. 2021): what each head, MLP and the embedding write along the
 * direction that the unembedding of a token reads. Norms behind a part are frozen at this run's scale, so parts add up.
 */
import type { DirectAttribution } from '../../../preload/attribution'
import type { Tensor } from '../../../preload/tensor'
import { PatchbayError } from '../../../preload/errors'
import type { BlockSpec } from '../../models/spec'
import { throwIfCancelled } from '../../runtime/cancelled'
import { capture, checkLayer } from '../captures'
import type { RunOptions } from '../subject'
import { constantOf, dot, freezeNorm, plus, pulled, readLinear, times, type Vector } from './linear'
import { placed } from './metric'
import { neuronContributions } from './neurons'
import { insidesOf, type AttributionModel, type Insides } from './subject'
import { readDirection } from './unembedding'

export interface DirectRequest {
  tokens: readonly number[]
  positive: number
  negative: number | null
  position: number | 'last'
  neurons?: { layer: number; count: number }
}

/**
 * Parts of logit(positive) − logit(negative) after `position`; see `directAttribution` in the contract for what adds up.
 * Where a sublayer's output is normed before it is added (Gemma 2, OLMo 2, GLM-4), where the residual stream itself is
 * normed (BLOOM's option, OPT-350m), those scales are frozen too.
 * @throws PatchbayError `input.invalid` for tokens, positions or layers that are not there, `model.unsupported` for exported
 *   graphs and for neurons of a mixture of experts
 */
export async function directAttribution(
  model: AttributionModel,
  request: DirectRequest,
  options: RunOptions = {},
): Promise<DirectAttribution> {
  const insides = insidesOf(model, 'direct logit attribution')
  const { tokens, positive, negative } = request
  const { position } = placed(
    model,
    negative === null
      ? { kind: 'logit', token: positive, position: request.position }
      : { kind: 'logit-difference', positive, negative, position: request.position },
    tokens,
  )
  if (request.neurons !== undefined) checkLayer(model, request.neurons.layer)
  const { blocks, unembedding } = insides.spec
  const sites = new Map<string, number>()
  const wanted = (hook: string): void => void (sites.has(hook) || sites.set(hook, sites.size))
  blocks.forEach((block, layer) => sitesOf(block).forEach((site) => wanted(`blocks.${layer}.${site}`)))
  wanted('blocks.0.hook_resid_pre')
  const final = `blocks.${blocks.length - 1}.hook_resid_post`
  wanted(final)
  const neuronLayer = request.neurons?.layer
  if (neuronLayer !== undefined && blocks[neuronLayer].mlp.kind !== 'mixture')
    wanted(`blocks.${neuronLayer}.mlp.hook_post`)
  const { evidence, activations } = await capture(model, tokens, [...sites.keys()], options)
  const at = (hook: string): Float32Array => rowAt(activations[sites.get(hook) ?? -1], position)

  const { direction, constant, norm } = await readDirection(insides, at(final), positive, negative)
  const heads = new Float64Array(blocks.length * model.facts.heads).fill(NaN)
  const attentionBias = new Float64Array(blocks.length)
  const mlps = new Float64Array(blocks.length)
  let neurons: DirectAttribution['neurons'] = null
  let constants = constant
  let attended = 0
  let u = direction
  for (let layer = blocks.length - 1; layer >= 0; layer--) {
    throwIfCancelled(options.signal)
    const block = blocks[layer]
    const here = (site: string): Float32Array => at(`blocks.${layer}.${site}`)
    const through = await directions(insides, block, u, here)
    mlps[layer] = dot(here('hook_mlp_out'), through.mlp)
    if (request.neurons?.layer === layer)
      neurons = await neuronContributions(
        insides,
        { layer, count: request.neurons.count, direction: through.mlp, total: mlps[layer] },
        here,
      )
    const attention = await attentionParts(insides, block, here('attn.hook_z'), through.attention)
    heads.set(attention.heads, layer * model.facts.heads)
    attended += sum(attention.heads)
    attentionBias[layer] = attention.bias
    constants += through.constant
    u = through.input
  }
  const embedding = dot(at('blocks.0.hook_resid_pre'), u)
  const total = attended + sum(attentionBias) + sum(mlps) + embedding + constants
  const read = await model.readout(
    { shape: [1, insides.spec.dModel], data: at(final).slice() },
    {
      k: 0,
      targets: { ids: Int32Array.from([positive, negative ?? positive]), perRow: 2 },
      signal: options.signal,
    },
  )
  const [of, against] = read.targetLogits
  const cap = unembedding.softcap
  const before = (logit: number): number => (cap === null ? logit : cap * Math.atanh(logit / cap))
  const difference = (f: (logit: number) => number): number => f(of) - (negative === null ? 0 : f(against))
  const uncapped = difference(before)
  const [first, second] = model.tokens(negative === null ? [positive] : [positive, negative])
  return {
    evidence,
    position,
    positive: first,
    negative: negative === null ? null : second,
    heads: { shape: [blocks.length, model.facts.heads], data: Float32Array.from(heads) },
    attentionBias: Float32Array.from(attentionBias),
    mlps: Float32Array.from(mlps),
    embedding,
    constant: constants,
    total,
    uncapped,
    remainder: uncapped - total,
    logit: difference((logit) => logit),
    softcap: cap,
    scale: norm?.scale ?? null,
    neurons,
    notes: notesOf(insides),
  }
}

/** What of a block is captured. */
function sitesOf({ topology }: BlockSpec): string[] {
  const parts = ['attn.hook_z', 'hook_mlp_out']
  if (topology === 'normed-residual') return [...parts, 'hook_resid_pre', 'hook_resid_mid']
  return topology === 'post-norm' ? [...parts, 'hook_resid_pre', 'hook_attn_out', 'hook_resid_mid'] : parts
}

/** A direction u of the block's output as directions of what its sublayers write and of its input, and what norms add. */
async function directions(
  insides: Insides,
  block: BlockSpec,
  u: Vector,
  here: (site: string) => Float32Array,
): Promise<{ attention: Vector; mlp: Vector; input: Vector; constant: number }> {
  if (block.topology === 'normed-residual') {
    // out = ln2(mid) + m, mid = ln1(x) + a
    const second = await freezeNorm(insides, block.mlpNorm, here('hook_resid_mid'))
    const mid = pulled(second, u)
    const first = await freezeNorm(insides, block.attentionNorm, here('hook_resid_pre'))
    const constant = constantOf(second, u) + constantOf(first, mid)
    return { attention: mid, mlp: u, input: pulled(first, mid), constant }
  }
  if (block.topology === 'post-norm') {
    // out = ln2(mid + m), mid = ln1(x + a)
    const written = plus(here('hook_resid_mid'), here('hook_mlp_out'))
    const second = await freezeNorm(insides, block.mlpNorm, written)
    const mid = pulled(second, u)
    const attended = plus(here('hook_resid_pre'), here('hook_attn_out'))
    const first = await freezeNorm(insides, block.attentionNorm, attended)
    const input = pulled(first, mid)
    return { attention: input, mlp: mid, input, constant: constantOf(second, u) + constantOf(first, mid) }
  }
  return { attention: u, mlp: u, input: u, constant: 0 }
}

/** What each head and the output's biases write along u, through the norm behind the sublayer where there is one. */
async function attentionParts(
  insides: Insides,
  { attention, attentionPostNorm, residualMultiplier }: BlockSpec,
  z: Float32Array,
  u: Vector,
): Promise<{ heads: number[]; bias: number }> {
  const output = await readLinear(insides, attention.output)
  const post =
    attentionPostNorm === null
      ? null
      : await freezeNorm(insides, attentionPostNorm, plus(output.forward(z), output.bias))
  const scaled = times(u, residualMultiplier)
  const written = pulled(post, scaled)
  const perValue = output.pull(written)
  const { heads, headDim } = attention
  return {
    heads: Array.from({ length: heads }, (_, head) =>
      dot(
        z.subarray(head * headDim, (head + 1) * headDim),
        perValue.subarray(head * headDim, (head + 1) * headDim),
      ),
    ),
    bias: (output.bias === null ? 0 : dot(output.bias, written)) + constantOf(post, scaled),
  }
}

function notesOf({ spec }: Insides): string[] {
  const notes: string[] = []
  if (spec.unembedding.norm !== null)
    notes.push('The final norm’s scale is frozen at the position, so each part counts as it is written.')
  if (
    spec.blocks.some(
      ({ attentionPostNorm, mlpPostNorm }) => attentionPostNorm !== null || mlpPostNorm !== null,
    )
  )
    notes.push('Heads pass the norm behind their sublayer with its scale frozen.')
  if (spec.blocks.some(({ topology }) => topology === 'post-norm' || topology === 'normed-residual'))
    notes.push('Norms on the residual stream between blocks are frozen too; early parts pass all of them.')
  if (spec.unembedding.softcap !== null) notes.push('Parts add up to the logits before the final soft-cap.')
  return notes
}

const sum = (values: Iterable<number>): number => {
  let all = 0
  for (const value of values) all += value
  return all
}

/** Position `position` of an activation [pos, …], flattened. */
function rowAt(activation: Tensor | undefined, position: number): Float32Array {
  if (activation === undefined) throw new PatchbayError('internal', 'An activation was not captured.')
  const width = activation.data.length / activation.shape[0]
  return activation.data.subarray(position * width, (position + 1) * width)
}
