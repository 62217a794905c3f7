/**
 * Baseline and steered continuation of one prompt, token by token, with the same seed. A third row reads what the steered
 * one writes but is not steered itself, so that each step's divergence is due to the steering and not to another text.
 */
import type { PromptSpec, TokenInfo } from '../../preload/prompt'
import { generateRequest, type GenerateInput, type GenerateStep, type Sampling } from '../../preload/run'
import type { SteerResult, SteerStep } from '../../preload/views'
import { provenanceOf } from '../analysis/evidence'
import type { AnalysisModel } from '../analysis/subject'
import { applyPreset, type VectorOf } from './apply'
import type { Preset } from '../../preload/preset'
import type { SteeringModel } from './subject'

const BASELINE = 0
const STEERED = 1
const SHADOW = 2

export interface SteerComparison {
  prompt: PromptSpec
  preset: Preset
  vectorOf: VectorOf
  strength: number
  sampling: Sampling
  maxTokens: number
  stop: readonly string[]
}

/**
 * Runs `steer.compare`. Each step has both rows' tokens and their log-probabilities (nats, temperature 1, each under its own
 * row's distribution), and KL(steered ‖ shadow) in nats: how far steering moved the next-token distribution after the
 * steered text so far. What a row that has ended would say is null.
 * @throws PatchbayError as `applyPreset`, `encode` and `generate`
 */
export async function compareGeneration(
  model: SteeringModel,
  comparison: SteerComparison,
  options: { signal?: AbortSignal; onStep?: (step: SteerStep) => void } = {},
): Promise<SteerResult> {
  const { preset, strength, vectorOf, sampling, maxTokens, stop } = comparison
  const steering = applyPreset(model, preset, strength, vectorOf, [STEERED])
  const { tokens: encoded } = await model.encode(comparison.prompt, options.signal)
  const tokens = encoded.map(({ id }) => id)
  const input: GenerateInput = {
    request: generateRequest.parse({
      model: model.facts.fingerprint,
      rows: [{ tokens }, { tokens }, { tokens, follow: STEERED }],
      interventions: steering.interventions,
      sampling,
      maxTokens,
      stop,
      klPairs: [[STEERED, SHADOW]],
    }),
    tensors: steering.tensors,
  }
  const steps: SteerStep[] = []
  const { rows } = await model.generate(input, {
    signal: options.signal,
    onStep: (step) => {
      const compared = compareStep(model, step)
      steps.push(compared)
      options.onStep?.(compared)
    },
  })
  return {
    provenance: provenanceOf(model, input),
    promptTokens: tokens.length,
    steps,
    baselineText: rows[BASELINE].text,
    steeredText: rows[STEERED].text,
    baselineFinish: rows[BASELINE].finish,
    steeredFinish: rows[STEERED].finish,
  }
}

function compareStep(model: AnalysisModel, { step, tokens, logProbs, kl }: GenerateStep): SteerStep {
  const alive = (row: number): boolean => tokens[row] >= 0
  const infoOf = (row: number): TokenInfo | null => (alive(row) ? model.tokens([tokens[row]])[0] : null)
  return {
    step,
    baseline: infoOf(BASELINE),
    steered: infoOf(STEERED),
    baselineLogProb: alive(BASELINE) ? logProbs[BASELINE] : null,
    steeredLogProb: alive(STEERED) ? logProbs[STEERED] : null,
    divergence: alive(STEERED) ? kl[0] : null,
  }
}
