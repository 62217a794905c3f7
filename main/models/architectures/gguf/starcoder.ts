/** GGUF's `starcoder`: GPTBigCode, with the rows of the fused projection stacked as GPT-2's are. */
import type { GgufFamily } from '../family'
import { readLikeGpt2 } from './gpt2'

export const ggufStarcoder: GgufFamily = {
  name: 'gpt_bigcode',
  label: 'GPTBigCode (StarCoder)',
  architectures: ['starcoder'],
  read: (checkpoint) =>
    readLikeGpt2(checkpoint, { family: 'gpt_bigcode', architecture: 'starcoder', label: 'StarCoder' }),
}
