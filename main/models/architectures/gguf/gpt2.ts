/** GGUF's `gpt2`: the converter has already transposed the Conv1D matrices to [out, in]. */
import type { Checkpoint } from '../../formats/checkpoint'
import type { TransformerSpec } from '../../spec'
import { weight } from '../../weights'
import { decoder } from '../decoder'
import type { GgufFamily } from '../family'
import { ggufNames } from '../names'
import { layerNormed } from '../norms'
import { GgufSettings } from './metadata'
import { ggufBiases, ggufSizes } from './sizes'

/** A decoder like GPT-2's, under the name that its file's metadata has. */
export function readLikeGpt2(
  checkpoint: Checkpoint,
  { family, architecture, label }: { family: string; architecture: string; label: string },
): TransformerSpec {
  const settings = new GgufSettings(checkpoint, architecture, label)
  const sizes = ggufSizes(settings)
  const eps = settings.number('attention.layer_norm_epsilon')
  settings.refuseUnread()
  return decoder({
    family,
    names: { ...ggufNames, qkv: 'attn_qkv', gate: null },
    ...sizes,
    norm: layerNormed(eps),
    activation: 'gelu_tanh',
    biases: ggufBiases(settings),
    ropes: [],
    embedding: {
      positions: { table: weight('position_embd.weight', sizes.contextLength, sizes.hidden), offset: 0 },
    },
  })
}

export const ggufGpt2: GgufFamily = {
  name: 'gpt2',
  label: 'GPT-2',
  architectures: ['gpt2'],
  read: (checkpoint) => readLikeGpt2(checkpoint, { family: 'gpt2', architecture: 'gpt2', label: 'GPT-2' }),
}
