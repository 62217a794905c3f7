/**
 * An engine for component tests: answers every call that the views make, through the contract's own schemas. A test replaces
 * single answers by its own, to see a view wait, fail or be cancelled.
 */
import {
  calls,
  type CallArguments,
  type CallName,
  type CallOutput,
  type CallProgress,
} from '../../../preload/api'
import { PatchbayError } from '../../../preload/errors'
import { evidenceFor } from './fake-model'
import type { ModelDescription } from '../../../preload/model'
import type { Caller, CallOptions } from '../../../renderer/client'
import { attributionAnswers } from './synthetic-attribution'
import { presetAnswers } from './synthetic-presets'
import { sweepAnswers } from './synthetic-sweep'
import { syntheticIds, syntheticModel, syntheticToken } from './synthetic-model'
import { activation, compare, compareAttention, evidenceOf, weights } from './synthetic-views'

export interface Context<N extends CallName> {
  signal: AbortSignal
  progress: (value: CallProgress<N>) => void
}
export type Answers = {
  [N in CallName]?: (input: CallArguments<N>, context: Context<N>) => CallOutput<N> | Promise<CallOutput<N>>
}

export interface SyntheticEngine extends Caller {
  model: ModelDescription
  /** Names of the calls made, in order, with their input. */
  made: { name: CallName; input: unknown }[]
  answers: Answers
}

/** @param own answers that take the place of the synthetic ones */
export function syntheticEngine(own: Answers = {}, model = syntheticModel()): SyntheticEngine {
  const answers: Answers = {
    'model.weights': ({ parameter }) => weights(model, parameter),
    'prompt.encode': ({ prompt }) => {
      const text = prompt.kind === 'text' ? prompt.text : prompt.messages.map((m) => m.content).join('\n')
      if (text === '')
        throw new PatchbayError('prompt.empty', 'The prompt is empty.', { next: 'Write something.' })
      const tokens = syntheticIds(text).map((id, i) => ({
        ...syntheticToken(id),
        origin: i === 0 ? ('bos' as const) : ('text' as const),
        start: null,
        end: null,
      }))
      return { tokens, rendered: text, notes: ['<s> was added at the start.'] }
    },
    'tokens.describe': ({ ids }) => ids.map(syntheticToken),
    'activation.view': ({ tokens, hook, maxColumns }) => activation(model, tokens, hook, maxColumns),
    'activation.export': ({ hook, format, tokens }) => ({
      name: `${hook}.${format}`,
      bytes: Uint8Array.of(1, 2, 3),
      evidence: evidenceFor('storyworld', tokens),
    }),
    'compare.prompts': ({ left, right }) => compare(model, left, right),
    'compare.attention': ({ left, right, layer }) => compareAttention(model, left, right, layer),
    'logits.next': ({ tokens, position, count }) => ({
      evidence: evidenceOf(model, tokens),
      position,
      entropy: 2.1,
      top: Array.from({ length: count }, (_, i) => ({
        ...syntheticToken(i + 4),
        probability: 0.4 / (i + 1),
        logit: 9 - i,
      })),
    }),
    ...attributionAnswers(model),
    ...sweepAnswers(model),
    ...presetAnswers(model),
    ...own,
  }
  const made: SyntheticEngine['made'] = []
  return {
    model,
    made,
    answers,
    async call<N extends CallName>(
      name: N,
      input: unknown,
      options: CallOptions<N> = {},
    ): Promise<CallOutput<N>> {
      const parsed = calls[name].input.parse(input) as CallArguments<N>
      made.push({ name, input: parsed })
      const answer = answers[name]
      if (answer === undefined)
        throw new PatchbayError('internal', `The synthetic engine does not know ${name}.`)
      const signal = options.signal ?? new AbortController().signal
      const cancelled = new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () =>
          reject(new PatchbayError('run.cancelled', `${name} was cancelled.`)),
        )
      })
      const progress = (value: CallProgress<N>) => {
        if (!signal.aborted) options.onProgress?.(calls[name].progress.parse(value) as CallProgress<N>)
      }
      const output = await Promise.race([
        Promise.resolve().then(() => answer(parsed, { signal, progress })),
        cancelled,
      ])
      return calls[name].output.parse(output) as CallOutput<N>
    },
  }
}
