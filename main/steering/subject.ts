/** What steering needs of an open model beyond analysis: prompts in the model's own tokens. */
import type { EncodedPrompt, PromptSpec } from '../../preload/prompt'
import type { AnalysisModel } from '../analysis/subject'

export interface SteeringModel extends AnalysisModel {
  /** A prompt as token ids, each with its origin. */
  encode(prompt: PromptSpec, signal?: AbortSignal): Promise<EncodedPrompt>
}
