/** The next-token distribution after one position of a prompt. */
import { PatchbayError } from '../../preload/errors'
import { runRequest, type RunInput } from '../../preload/run'
import type { NextTokens } from '../../preload/views'
import { candidatesOf } from './candidates'
import { capture, checkPosition, gatherRows } from './captures'
import { largest, softmax } from './distribution'
import { evidenceOf } from './evidence'
import type { AnalysisModel, RunOptions } from './subject'

/**
 * The `count` most probable next tokens after `position`, with logits, and the whole distribution's entropy in nats.
 * Read out from the last residual stream, which the lens of the same prompt has already computed; a graph that runs in one
 * piece gives its own logits.
 * @throws PatchbayError `input.invalid` for a position that is not there
 */
export async function nextTokens(
  model: AnalysisModel,
  tokens: readonly number[],
  where: { position: number; count: number },
  options: RunOptions = {},
): Promise<NextTokens> {
  checkPosition(tokens, where.position)
  if ((model.whole ?? null) !== null) return fromLogits(model, tokens, where, options)
  const hook = `blocks.${model.facts.layers - 1}.hook_resid_post`
  const { evidence, activations } = await capture(model, tokens, [hook], options)
  const read = await model.readout(gatherRows(activations, [[0, where.position]]), {
    k: Math.min(where.count, model.facts.vocab),
    signal: options.signal,
  })
  return { evidence, position: where.position, entropy: read.entropy[0], top: candidatesOf(model, read) }
}

/** From the logits behind the tokens up to the position. */
async function fromLogits(
  model: AnalysisModel,
  tokens: readonly number[],
  { position, count }: { position: number; count: number },
  options: RunOptions,
): Promise<NextTokens> {
  const rows = [tokens.slice(0, position + 1)]
  const input: RunInput = {
    request: runRequest.parse({ model: model.facts.fingerprint, rows, logits: 'last' }),
    tensors: {},
  }
  const { logits } = await model.run(input, options)
  if (logits === null) throw new PatchbayError('internal', 'The run gave no logits.')
  const probabilities = softmax(logits.data)
  const ids = largest(Float64Array.from(logits.data), count)
  return {
    evidence: evidenceOf(model, input),
    position,
    entropy: probabilities.reduce((sum, p) => (p > 0 ? sum - p * Math.log(p) : sum), 0),
    top: model.tokens(ids).map((info) => ({
      ...info,
      probability: probabilities[info.id],
      logit: logits.data[info.id],
    })),
  }
}
