/**
 * Hook points: the places in a forward pass that can be captured and changed, in TransformerLens' spelling
 * (https://github.com/TransformerLensOrg/TransformerLens), with their shapes in symbols. Their newer spelling
 * (`blocks.3.hook_in`, `blocks.3.attn.o.hook_in`, `embed.hook_out`) is accepted as an alias.
 */

/** Symbols of hook-point shapes. `head` counts query heads, `kv_head` key/value heads. */
export type Dim =
  | 'batch'
  | 'pos'
  | 'd_model'
  | 'head'
  | 'kv_head'
  | 'd_head'
  | 'd_mlp'
  | 'expert'
  | 'q_pos'
  | 'k_pos'
  | 'one'
  | 'd_vocab'

/** Hook points inside block i, by the part of the name behind `blocks.{i}.`. */
export const blockSites = {
  hook_resid_pre: ['batch', 'pos', 'd_model'],
  'ln1.hook_scale': ['batch', 'pos', 'one'],
  'ln1.hook_normalized': ['batch', 'pos', 'd_model'],
  'attn.hook_q': ['batch', 'pos', 'head', 'd_head'],
  'attn.hook_k': ['batch', 'pos', 'kv_head', 'd_head'],
  'attn.hook_v': ['batch', 'pos', 'kv_head', 'd_head'],
  'attn.hook_rot_q': ['batch', 'pos', 'head', 'd_head'],
  'attn.hook_rot_k': ['batch', 'pos', 'kv_head', 'd_head'],
  'attn.hook_attn_scores': ['batch', 'head', 'q_pos', 'k_pos'],
  'attn.hook_pattern': ['batch', 'head', 'q_pos', 'k_pos'],
  'attn.hook_z': ['batch', 'pos', 'head', 'd_head'],
  'attn.hook_result': ['batch', 'pos', 'head', 'd_model'],
  hook_attn_out: ['batch', 'pos', 'd_model'],
  hook_resid_mid: ['batch', 'pos', 'd_model'],
  'ln2.hook_scale': ['batch', 'pos', 'one'],
  'ln2.hook_normalized': ['batch', 'pos', 'd_model'],
  'mlp.hook_router_logits': ['batch', 'pos', 'expert'],
  'mlp.hook_expert_weights': ['batch', 'pos', 'expert'],
  'mlp.hook_expert_outputs': ['batch', 'pos', 'expert', 'd_model'],
  'mlp.hook_pre': ['batch', 'pos', 'd_mlp'],
  'mlp.hook_pre_linear': ['batch', 'pos', 'd_mlp'],
  'mlp.hook_post': ['batch', 'pos', 'd_mlp'],
  hook_mlp_out: ['batch', 'pos', 'd_model'],
  hook_resid_post: ['batch', 'pos', 'd_model'],
} as const satisfies Record<string, readonly Dim[]>
export type BlockSite = keyof typeof blockSites

/** Hook points before the first and after the last block. */
export const outerSites = {
  hook_embed: ['batch', 'pos', 'd_model'],
  hook_pos_embed: ['batch', 'pos', 'd_model'],
  'ln_final.hook_scale': ['batch', 'pos', 'one'],
  'ln_final.hook_normalized': ['batch', 'pos', 'd_model'],
} as const satisfies Record<string, readonly Dim[]>
export type OuterSite = keyof typeof outerSites

/** One line for the inspector about each site. */
export const siteMeaning: Record<BlockSite | OuterSite, string> = {
  hook_embed: 'Token embeddings, as they enter the residual stream.',
  hook_pos_embed: 'Learned position embeddings, added to the token embeddings.',
  hook_resid_pre: 'Residual stream at the input of the block.',
  'ln1.hook_scale': 'What the norm before attention divides by.',
  'ln1.hook_normalized': 'Residual stream after the norm before attention.',
  'attn.hook_q': 'Queries, before rotary position embedding.',
  'attn.hook_k': 'Keys, before rotary position embedding and before repetition over query heads.',
  'attn.hook_v': 'Values, before repetition over query heads.',
  'attn.hook_rot_q': 'Queries as used in the product, after rotary position embedding.',
  'attn.hook_rot_k': 'Keys as used in the product, after rotary position embedding.',
  'attn.hook_attn_scores': 'Attention scores before the softmax; masked places are −∞.',
  'attn.hook_pattern': 'Attention probabilities: how much each query position reads from each key position.',
  'attn.hook_z': 'Output of each head before the output projection.',
  'attn.hook_result': 'What each head alone adds to the residual stream.',
  hook_attn_out: 'What attention adds to the residual stream.',
  hook_resid_mid: 'Residual stream between attention and MLP.',
  'ln2.hook_scale': 'What the norm before the MLP divides by.',
  'ln2.hook_normalized': 'Residual stream after the norm before the MLP.',
  'mlp.hook_router_logits': 'Scores of the router of a mixture of experts, one for each expert.',
  'mlp.hook_expert_weights': 'How much each expert counts: zero for those that are not chosen.',
  'mlp.hook_expert_outputs':
    'What each expert contributes, its weight included; together they are the MLP’s output.',
  'mlp.hook_pre': 'Neurons before the activation function (the gate, where the MLP is gated).',
  'mlp.hook_pre_linear': 'The linear branch of a gated MLP.',
  'mlp.hook_post': 'Neurons after the activation function (times the linear branch, where gated).',
  hook_mlp_out: 'What the MLP adds to the residual stream.',
  hook_resid_post: 'Residual stream at the output of the block.',
  'ln_final.hook_scale': 'What the final norm divides by.',
  'ln_final.hook_normalized': 'Residual stream after the final norm, before the unembedding.',
}

/** A parsed hook name: inside a block, or outside of all. */
export type HookPoint = { layer: number; site: BlockSite } | { layer: null; site: OuterSite }

const blockAliases: Record<string, BlockSite> = {
  hook_in: 'hook_resid_pre',
  hook_out: 'hook_resid_post',
  'attn.o.hook_in': 'attn.hook_z',
  'attn.hook_out': 'hook_attn_out',
  'attn.q.hook_out': 'attn.hook_q',
  'attn.k.hook_out': 'attn.hook_k',
  'attn.v.hook_out': 'attn.hook_v',
  'mlp.hook_out': 'hook_mlp_out',
  'mlp.in.hook_out': 'mlp.hook_pre',
  'mlp.out.hook_in': 'mlp.hook_post',
}
const outerAliases: Record<string, OuterSite> = {
  'embed.hook_out': 'hook_embed',
  'pos_embed.hook_out': 'hook_pos_embed',
  'ln_final.hook_out': 'ln_final.hook_normalized',
}

/** Parses a hook name or an alias of one; null where it is neither. Whether a model has it is another question. */
export function parseHook(name: string): HookPoint | null {
  if (Object.hasOwn(outerSites, name)) return { layer: null, site: name as OuterSite }
  if (Object.hasOwn(outerAliases, name)) return { layer: null, site: outerAliases[name] }
  const match = /^blocks\.(0|[1-9]\d{0,5})\.(.+)$/.exec(name)
  if (match === null) return null
  const layer = Number(match[1])
  const rest = match[2]
  if (Object.hasOwn(blockSites, rest)) return { layer, site: rest as BlockSite }
  if (Object.hasOwn(blockAliases, rest)) return { layer, site: blockAliases[rest] }
  return null
}

/** The canonical name of a hook point. */
export const hookName = (point: HookPoint): string =>
  point.layer === null ? point.site : `blocks.${point.layer}.${point.site}`

/** Shape of a hook point in symbols, outermost first. */
export const hookDims = (point: HookPoint): readonly Dim[] =>
  point.layer === null ? outerSites[point.site] : blockSites[point.site]

/** Hook points on the residual stream itself: where directions may be removed or clamped. */
export const isResidual = (point: HookPoint): boolean =>
  point.site === 'hook_resid_pre' || point.site === 'hook_resid_mid' || point.site === 'hook_resid_post'

/** The n_layers + 1 points of the residual stream that the logit lens reads: each block's input, then the last output. */
export const residualPoints = (layers: number): string[] => [
  ...Array.from({ length: layers }, (_, i) => `blocks.${i}.hook_resid_pre`),
  `blocks.${layers - 1}.hook_resid_post`,
]
