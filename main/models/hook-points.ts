/** Which hook points a model has, and how large they are: what its spec makes of the list in the contract. */
import { PatchbayError } from '../../preload/errors'
import {
  blockSites,
  hookDims,
  hookName,
  outerSites,
  parseHook,
  type BlockSite,
  type Dim,
  type HookPoint,
  type OuterSite,
} from '../../preload/hooks'
import { nearestNames } from './nearest-names'
import type { TransformerSpec } from './spec'

/** All hook points of a model, in the order of computation. */
export function hookPointsOf(spec: TransformerSpec): HookPoint[] {
  const outer = (Object.keys(outerSites) as OuterSite[])
    .map((site): HookPoint => ({ layer: null, site }))
    .filter((point) => hasHook(spec, point))
  const inner = spec.blocks.flatMap((_, layer) =>
    (Object.keys(blockSites) as BlockSite[])
      .map((site): HookPoint => ({ layer, site }))
      .filter((point) => hasHook(spec, point)),
  )
  const isFinal = (point: HookPoint): boolean => point.site.startsWith('ln_final')
  return [...outer.filter((point) => !isFinal(point)), ...inner, ...outer.filter(isFinal)]
}

/** Whether the model computes such a thing at all. */
export function hasHook(spec: TransformerSpec, point: HookPoint): boolean {
  if (point.layer === null) {
    if (point.site === 'hook_pos_embed') return spec.embedding.positions !== null
    return point.site === 'hook_embed' || spec.unembedding.norm !== null
  }
  if (point.layer >= spec.blocks.length) return false
  const block = spec.blocks[point.layer]
  switch (point.site) {
    case 'ln1.hook_scale':
    case 'ln1.hook_normalized':
      return block.attentionNorm !== null
    case 'ln2.hook_scale':
    case 'ln2.hook_normalized':
      return block.mlpNorm !== null
    case 'attn.hook_rot_q':
    case 'attn.hook_rot_k':
      // Layers without rotary embedding have them too where other layers rotate: queries and keys as used.
      return spec.ropes.length > 0
    case 'hook_resid_mid':
      return block.topology !== 'parallel'
    case 'mlp.hook_pre':
    case 'mlp.hook_post':
      return block.mlp.kind !== 'mixture'
    case 'mlp.hook_router_logits':
    case 'mlp.hook_expert_weights':
    case 'mlp.hook_expert_outputs':
      return block.mlp.kind === 'mixture'
    case 'mlp.hook_pre_linear':
      return block.mlp.kind === 'gated' || block.mlp.kind === 'clamped-swiglu'
    default:
      return true
  }
}

/** Sizes of a hook point's axes; null for batch and positions, which the run decides. */
export function hookSizes(spec: TransformerSpec, point: HookPoint): (number | null)[] {
  const { attention, mlp } = spec.blocks[point.layer ?? 0]
  const sizes: Record<Dim, number | null> = {
    batch: null,
    pos: null,
    q_pos: null,
    k_pos: null,
    one: 1,
    d_model: spec.dModel,
    d_vocab: spec.vocab,
    head: attention.heads,
    kv_head: attention.kvHeads,
    d_head: attention.headDim,
    d_mlp: mlp.width,
    expert: mlp.kind === 'mixture' ? mlp.experts.length : null,
  }
  return hookDims(point).map((dim) => sizes[dim])
}

/**
 * The hook point that a name or alias means in this model.
 * @throws PatchbayError `hook.unknown` with the nearest names, `hook.unavailable` for one that this model does not have
 */
export function resolveHook(spec: TransformerSpec, name: string): HookPoint {
  const point = parseHook(name)
  if (point === null) {
    const names = hookPointsOf(spec).map(hookName)
    throw new PatchbayError('hook.unknown', `There is no hook point ${JSON.stringify(name.slice(0, 200))}.`, {
      next: `The nearest names are ${nearestNames(name, names).join(', ')}.`,
      field: name.slice(0, 200),
    })
  }
  if (hasHook(spec, point)) return point
  const last = spec.blocks.length - 1
  const why =
    point.layer !== null && point.layer > last
      ? `its blocks are 0 to ${last}`
      : `its architecture (${spec.family}) computes no such thing`
  throw new PatchbayError('hook.unavailable', `This model has no hook point ${hookName(point)}: ${why}.`, {
    next: 'Choose one of the hook points that the Layers view lists.',
    field: name,
  })
}
