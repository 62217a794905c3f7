/** A steering vector by optimisation, as a job that ends with a preset. */
import { PatchbayError } from '../../../preload/errors'
import { steeringInput, type SteeringJob, type SteeringResult } from '../../../preload/training'
import { throwIfCancelled } from '../../runtime/cancelled'
import { presetFromOptimisation } from '../../steering/from-optimisation'
import { promptFor } from '../../steering/from-pairs'
import type { PresetStore } from '../../steering/preset-store'
import { readableText, textActivations, type EncodedText } from '../../steering/text-activations'
import type { SteeringExample } from '../../training/steering/examples'
import { optimiseSteering, steeringSettings } from '../../training/steering/train'
import type { JobKind } from '../kind'
import { positionwise, runsOf, type JobModel, type OpenJobModel } from './job-model'
import { loopOptions } from './loop-job'

export const steeringJob = (
  open: OpenJobModel,
  presets: Pick<PresetStore, 'create'>,
): JobKind<SteeringJob> => ({
  name: 'steering',
  input: steeringInput,
  title: ({ name, hook }) => `Optimise “${name}” at ${hook}`,
  run: async (input, context) => {
    if (input.examples.length === 0)
      throw new PatchbayError('input.invalid', 'There are no examples to optimise a steering vector for.', {
        field: 'examples',
        next: 'Give prompts with continuations that should become likelier.',
      })
    const { signal } = context
    const model = await open(input.model, signal)
    const { point, hook, width } = positionwise(model, input.hook)
    const { prompts, examples } = await encodeExamples(model, input, signal)
    const run = runsOf(model, signal)
    const [{ activations }] = await textActivations({ facts: model.facts, run }, [point], prompts, 'last', {
      signal,
    })
    // Of last tokens: the first one is an attention sink in many models, a hundred times as long as the others.
    const residualNorm = activations.reduce((sum, row) => sum + Math.hypot(...row) / activations.length, 0)
    const maxNorm = input.maxNorm ?? residualNorm / 2
    const { positions, steps, batch, seed } = input
    const settings = steeringSettings.parse({ maxNorm, positions, steps, batch, seed })
    const { fingerprint, name: modelName } = model.facts
    const made = await optimiseSteering(
      { run, model: fingerprint, hook, width },
      examples,
      settings,
      loopOptions(context, steps, ['norm']),
    )
    if (made.outcome.kind === 'paused') return { kind: 'paused' }
    if (!(made.norm > 0))
      throw new PatchbayError(
        'run.failed',
        'The vector stayed zero: nothing that was asked for changes it.',
        {
          next: 'Choose other continuations, or another hook point.',
        },
      )
    const created = new Date().toISOString()
    const { preset, vectors } = presetFromOptimisation(
      model.facts,
      { ...input, hook },
      made.vector,
      residualNorm,
      created,
    )
    const entry = await presets.create(preset, vectors)
    return {
      kind: 'done',
      result: {
        kind: 'steering',
        modelName,
        fingerprint,
        hook,
        preset: entry.preset.id,
        norm: made.norm,
        maxNorm,
        residualNorm,
        before: made.before,
        after: made.after,
      } satisfies SteeringResult,
    }
  },
})

/** One example for each target and for each avoided continuation, and the prompts by themselves. */
async function encodeExamples(
  model: JobModel,
  input: SteeringJob,
  signal: AbortSignal,
): Promise<{ prompts: EncodedText[]; examples: SteeringExample[] }> {
  const prompts: EncodedText[] = []
  const examples: SteeringExample[] = []
  for (const { prompt, target, avoided } of input.examples) {
    throwIfCancelled(signal)
    const encoded = readableText(await model.encode(promptFor(prompt, input), signal))
    prompts.push(encoded)
    const add = async (text: string, aim: SteeringExample['aim']): Promise<void> => {
      const continuation = await continuationOf(model, input, prompt, encoded.tokens, text, signal)
      const length = encoded.tokens.length + continuation.length
      if (length > model.facts.contextLength)
        throw new PatchbayError(
          'prompt.too-long',
          `Example ${prompts.length} has ${length} tokens with its continuation, but ${model.facts.name} reads at most ${model.facts.contextLength}.`,
          { field: `examples.${prompts.length - 1}`, next: 'Shorten it.' },
        )
      examples.push({ prompt: [...encoded.tokens], continuation, aim })
    }
    await add(target, 'raise')
    if (avoided !== null) await add(avoided, 'lower')
  }
  return { prompts, examples }
}

/**
 * A continuation's tokens as they come behind the prompt; where the two melt into other tokens, or the prompt is a turn of
 * a chat, those of the continuation by itself.
 */
async function continuationOf(
  model: JobModel,
  { bos, template }: SteeringJob,
  prompt: string,
  promptTokens: readonly number[],
  continuation: string,
  signal: AbortSignal,
): Promise<number[]> {
  const ids = async (text: string, withBos: SteeringJob['bos']): Promise<number[]> => {
    const { tokens } = await model.encode({ kind: 'text', text, bos: withBos }, signal)
    return tokens.map(({ id }) => id)
  }
  if (template === 'none') {
    const whole = await ids(prompt + continuation, bos)
    if (whole.length > promptTokens.length && promptTokens.every((id, i) => whole[i] === id))
      return whole.slice(promptTokens.length)
  }
  return ids(continuation, 'never')
}
