/** GGUF's `qwen3` and `qwen3moe`: norms of each head's queries and keys; experts stacked in three tensors a layer. */
import type { MlpSpec } from '../../spec'
import { decoder } from '../decoder'
import type { GgufFamily } from '../family'
import { ggufNames } from '../names'
import { rms } from '../norms'
import { GgufSettings } from './metadata'
import { ggufBiases, ggufMixtures, ggufRope, ggufSizes } from './sizes'

export const ggufQwen3: GgufFamily = {
  name: 'qwen3',
  label: 'Qwen 3',
  architectures: ['qwen3'],
  read: (checkpoint) => read(new GgufSettings(checkpoint, 'qwen3', 'Qwen 3'), 'qwen3'),
}

export const ggufQwen3Moe: GgufFamily = {
  name: 'qwen3_moe',
  label: 'Qwen 3 MoE',
  architectures: ['qwen3moe'],
  read(checkpoint) {
    const settings = new GgufSettings(checkpoint, 'qwen3moe', 'Qwen 3 MoE')
    return read(settings, 'qwen3_moe', ggufMixtures(settings))
  },
}

async function read(
  settings: GgufSettings,
  family: string,
  mlp?: (layer: number, prefix: string) => MlpSpec | null,
) {
  const sizes = ggufSizes(settings)
  const rope = await ggufRope(settings, sizes.headDim)
  const eps = settings.number('attention.layer_norm_rms_epsilon')
  settings.refuseUnread()
  return decoder({
    family,
    names: ggufNames,
    ...sizes,
    norm: rms(eps),
    headNorm: 'head',
    activation: 'silu',
    biases: ggufBiases(settings),
    ropes: [rope],
    mlp,
  })
}
