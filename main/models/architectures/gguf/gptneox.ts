/** GGUF's `gptneox`: the rows of the fused projection are stacked, not interleaved as in Hugging Face's files. */
import { decoder } from '../decoder'
import type { GgufFamily } from '../family'
import { ggufNames } from '../names'
import { layerNormed } from '../norms'
import { GgufSettings } from './metadata'
import { ggufBiases, ggufRope, ggufSizes } from './sizes'

export const ggufGptNeox: GgufFamily = {
  name: 'gpt_neox',
  label: 'GPT-NeoX (Pythia)',
  architectures: ['gptneox'],
  async read(checkpoint) {
    const settings = new GgufSettings(checkpoint, 'gptneox', 'GPT-NeoX')
    const sizes = ggufSizes(settings)
    const rope = await ggufRope(settings, sizes.headDim)
    const eps = settings.number('attention.layer_norm_epsilon')
    const parallel = settings.boolean('use_parallel_residual') ?? true
    settings.refuseUnread()
    return decoder({
      family: 'gpt_neox',
      names: { ...ggufNames, qkv: 'attn_qkv', gate: null },
      ...sizes,
      norm: layerNormed(eps),
      activation: 'gelu',
      biases: ggufBiases(settings),
      topology: parallel ? 'parallel' : 'sequential',
      ropes: [rope],
    })
  },
}
