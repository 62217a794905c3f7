/** How places and parts are written. */
import type { EdgeSource, EdgeTarget, PatchPlace } from '../../../preload/attribution'

export const sourceName = (source: EdgeSource): string => {
  switch (source.kind) {
    case 'embed':
      return 'embedding'
    case 'head':
      return `head ${source.layer}.${source.head}`
    case 'mlp':
      return `MLP ${source.layer}`
  }
}

export const targetName = (target: EdgeTarget): string => {
  switch (target.kind) {
    case 'logits':
      return 'logits'
    case 'mlp':
      return `MLP ${target.layer}`
    case 'q':
      return `query of head ${target.layer}.${target.head}`
    case 'k':
    case 'v':
      return `${target.kind === 'k' ? 'key' : 'value'} of kv head ${target.layer}.${target.head}`
  }
}

/** "resid_pre 3 · position 7", "head 2.1", "neuron 2.301" */
export function placeName({ hook, positions, head, units }: PatchPlace): string {
  const layer = /^blocks\.(\d+)\./.exec(hook)?.[1] ?? ''
  const at = positions === undefined ? '' : ` · position ${positions.join(', ')}`
  if (units !== undefined) return `neuron ${layer}.${units.join(', ')}${at}`
  if (head !== undefined) return `head ${layer}.${head}${at}`
  const site = hook.replace(/^.*hook_/, '')
  const names: Record<string, string> = {
    resid_pre: 'residual stream into block',
    attn_out: 'attention output',
    mlp_out: 'MLP output',
  }
  return `${names[site] ?? site} ${layer}${at}`
}
