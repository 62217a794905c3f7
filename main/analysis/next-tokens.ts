/** The next-token distribution after one position of a prompt. */
import type { NextTokens } from '../../preload/views'
import { candidatesOf } from './candidates'
import { capture, checkPosition, gatherRows } from './captures'
import type { AnalysisModel, RunOptions } from './subject'

/**
 * The `count` most probable next tokens after `position`, with logits, and the whole distribution's entropy in nats.
 * Read out from the last residual stream, which the lens of the same prompt has already computed.
 * @throws PatchbayError `input.invalid` for a position that is not there
 */
export async function nextTokens(
  model: AnalysisModel,
  tokens: readonly number[],
  where: { position: number; count: number },
  options: RunOptions = {},
): Promise<NextTokens> {
  checkPosition(tokens, where.position)
  const hook = `blocks.${model.facts.layers - 1}.hook_resid_post`
  const { evidence, activations } = await capture(model, tokens, [hook], options)
  const read = await model.readout(gatherRows(activations, [[0, where.position]]), {
    k: Math.min(where.count, model.facts.vocab),
    signal: options.signal,
  })
  return { evidence, position: where.position, entropy: read.entropy[0], top: candidatesOf(model, read) }
}
