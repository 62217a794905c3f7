/** The comparison on screen, to be repeated elsewhere: as JSON, and as a line for a terminal where one can say it. */
import type { ModelDescription } from '../../../preload/model'
import { quoted } from '../../exports/evidence'
import type { SteerRequest } from './steering-run'

/** The request, and which model `model` stands for. */
export const steerJson = (request: SteerRequest, model: ModelDescription): string =>
  JSON.stringify({ call: 'steer.compare', fingerprint: model.fingerprint, input: request }, null, 2)

/**
 * `npx patchbay generate …` for the same comparison; null where the command line has no words for its prompt: several
 * turns, an assistant's turn left open, or a BOS policy other than the model's.
 */
export function steerCommand(request: SteerRequest, model: ModelDescription): string | null {
  const prompt = promptOptions(request.prompt)
  if (prompt === null) return null
  const { sampling: { temperature = 0, topK = 0, topP = 1, seed = 0 } = {}, maxTokens = 48 } = request
  return [
    'npx patchbay generate',
    `--model ${model.fingerprint.slice(0, 16)} --provider ${model.provider}`,
    `--preset ${request.preset} --strength=${request.strength}`,
    `--max-tokens ${maxTokens} --temperature ${temperature} --top-k ${topK} --top-p ${topP} --seed ${seed}`,
    prompt,
  ].join(' ')
}

function promptOptions(prompt: SteerRequest['prompt']): string | null {
  if (prompt.kind === 'text') {
    const asTheModelSays = prompt.bos === undefined || prompt.bos === 'model'
    return asTheModelSays ? `--prompt=${quoted(prompt.text)}` : null
  }
  const [first, second] = prompt.messages
  if (prompt.addGenerationPrompt === false) return null
  if (prompt.messages.length === 1 && first.role === 'user') return `--chat --prompt=${quoted(first.content)}`
  if (prompt.messages.length === 2 && first.role === 'system' && second.role === 'user')
    return `--chat --system=${quoted(first.content)} --prompt=${quoted(second.content)}`
  return null
}
