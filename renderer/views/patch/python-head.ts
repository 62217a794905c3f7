/** What the programs for TransformerLens have in common: model, pairs, runs, metric and source, and the metric of both prompts. */
import type { SweepRequest } from '../../../preload/sweep'
import { header, metricLines, pairLines, runLines } from './python-parts'

/**
 * @param source lines that define `source_of` (see python-parts)
 * @param notes comments behind the model
 */
export const headLines = (
  what: string,
  fingerprint: string,
  request: Pick<SweepRequest, 'pairs' | 'metrics' | 'direction'>,
  source: readonly string[],
  notes: readonly string[] = [],
): string[] => [
  ...header(what, fingerprint),
  ...notes,
  '',
  ...pairLines(request),
  '',
  '',
  ...runLines(request.pairs.some(({ noise }) => noise !== undefined)),
  '',
  '',
  ...metricLines((request.pairs[0].metrics ?? request.metrics)[0]),
  '',
  '',
  ...source,
  '',
  '',
]

/** The metric of both prompts as they are, means over pairs. */
export const endsLine =
  'ends = {side: sum(metric(run(pair, side), pair) for pair in pairs) / len(pairs) for side in ("clean", "corrupt")}'
