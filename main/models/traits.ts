/** A spec in words: what a person wants to know of an architecture at a glance. */
import type { BlockSpec, MlpSpec, NormSpec, TransformerSpec } from './spec'

export interface Trait {
  label: string
  value: string
}

/** The facts of a model, in the field's terms; layers that differ are said with the layers' numbers. */
export function traitsOf(spec: TransformerSpec): Trait[] {
  const [block] = spec.blocks
  const { attention } = block
  return [
    { label: 'Layers', value: `${spec.blocks.length} × ${spec.dModel} (d_model)` },
    { label: 'Attention', value: attentionText(block) },
    { label: 'Positions', value: positionsText(spec) },
    { label: 'MLP', value: mlpText(block.mlp) },
    { label: 'Norm', value: normText(block.attentionNorm ?? block.attentionPostNorm) },
    ...(block.topology === 'sequential' ? [] : [{ label: 'Block', value: block.topology }]),
    ...windowTrait(spec),
    ...(attention.softcap === null ? [] : [{ label: 'Score soft-cap', value: String(attention.softcap) }]),
    { label: 'Vocabulary', value: spec.vocab.toLocaleString('en-US') },
    { label: 'Context', value: `${spec.contextLength.toLocaleString('en-US')} tokens` },
    { label: 'Unembedding', value: spec.unembedding.tied ? 'tied to the embedding' : 'a matrix of its own' },
  ]
}

function attentionText({ attention: { heads, kvHeads, headDim } }: BlockSpec): string {
  const grouped =
    kvHeads === heads ? '' : kvHeads === 1 ? ', one key/value head' : `, ${kvHeads} key/value heads`
  return `${heads} heads × ${headDim}${grouped}`
}

function positionsText(spec: TransformerSpec): string {
  const rotary = spec.ropes.map(({ base, dim, scaling }) => {
    const scaled = scaling.kind === 'default' ? '' : `, ${scaling.kind} scaling`
    return `rotary over ${dim} dimensions, base ${base.toLocaleString('en-US')}${scaled}`
  })
  const learned = spec.embedding.positions === null ? [] : ['learned']
  const linear = spec.blocks.some(({ attention }) => attention.alibi !== null) ? ['ALiBi'] : []
  const all = [...learned, ...rotary, ...linear]
  return all.length === 0 ? 'none' : all.join('; ')
}

function mlpText(mlp: MlpSpec): string {
  switch (mlp.kind) {
    case 'plain':
      return `${mlp.width} neurons, ${mlp.activation}`
    case 'gated':
      return `${mlp.width} neurons, gated, ${mlp.activation}`
    case 'clamped-swiglu':
      return `${mlp.width} neurons, clamped SwiGLU`
    case 'mixture':
      return `${mlp.experts.length} experts × ${mlp.width}, ${mlp.topK} used for each token`
  }
}

function normText(norm: NormSpec | null): string {
  if (norm === null) return 'none'
  return `${norm.kind === 'rms' ? 'RMSNorm' : 'LayerNorm'}, ε ${norm.eps}`
}

function windowTrait({ blocks }: TransformerSpec): Trait[] {
  const sliding = blocks.flatMap(({ attention: { window } }, layer) =>
    window === null ? [] : [{ layer, window }],
  )
  if (sliding.length === 0) return []
  const windows = [...new Set(sliding.map(({ window }) => window))].join(' or ')
  const where =
    sliding.length === blocks.length ? 'all layers' : `layers ${sliding.map(({ layer }) => layer).join(', ')}`
  return [{ label: 'Sliding window', value: `${windows} tokens in ${where}` }]
}
