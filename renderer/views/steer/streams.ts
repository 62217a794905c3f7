/** Both continuations token by token, made for the screen. */
import type { TokenInfo } from '../../../preload/prompt'
import type { SteerStep } from '../../../preload/views'
import { tokenLabel } from '../../components/token-label'

export interface StreamToken {
  step: number
  token: TokenInfo
  label: string
  /** It ends a line: what follows begins a new one. */
  breaks: boolean
  /** At this step the other side says something else, or has ended. */
  differs: boolean
  logProb: number | null
  /** KL(steered ‖ unsteered) in nats; on the steered side only. */
  divergence: number | null
}

/** One side's tokens; steps at which it had ended are left out. */
export function stream(steps: readonly SteerStep[], side: 'baseline' | 'steered'): StreamToken[] {
  return steps.flatMap((step) => {
    const token = step[side]
    if (token === null) return []
    const other = side === 'baseline' ? step.steered : step.baseline
    return [
      {
        step: step.step,
        token,
        label: tokenLabel(token),
        breaks: token.text.endsWith('\n'),
        differs: other?.id !== token.id,
        logProb: side === 'baseline' ? step.baselineLogProb : step.steeredLogProb,
        divergence: side === 'steered' ? step.divergence : null,
      },
    ]
  })
}

export interface StreamSummary {
  /** Step at which the two first differ; null while they are the same. */
  firstDifference: number | null
  differing: number
  steps: number
  /** Mean and largest KL a step, in nats; null without any. */
  meanDivergence: number | null
  largestDivergence: number | null
}

export function summarise(steps: readonly SteerStep[]): StreamSummary {
  const differing = steps.filter((step) => step.baseline?.id !== step.steered?.id)
  const divergences = steps.flatMap(({ divergence }) => (divergence === null ? [] : [divergence]))
  return {
    firstDifference: differing.at(0)?.step ?? null,
    differing: differing.length,
    steps: steps.length,
    meanDivergence:
      divergences.length === 0 ? null : divergences.reduce((a, b) => a + b, 0) / divergences.length,
    largestDivergence: divergences.length === 0 ? null : divergences.reduce((a, b) => Math.max(a, b)),
  }
}
