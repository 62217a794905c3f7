/** Token ids as a person reads them: with piece and text, and with the numbers that made them candidates. */
import type { TokenInfo } from '../../preload/prompt'
import type { Candidate } from '../../preload/views'
import type { AnalysisModel, Readout } from './subject'

/** What each of these ids stands for, by id. */
export function tokenTable(model: AnalysisModel, ids: Iterable<number>): Record<string, TokenInfo> {
  const distinct = [...new Set(ids)]
  return Object.fromEntries(model.tokens(distinct).map((info) => [String(info.id), info]))
}

/** The top tokens of a readout of one row, most probable first. */
export function candidatesOf(model: AnalysisModel, read: Readout): Candidate[] {
  return model.tokens([...read.topIds]).map((info, i) => ({
    ...info,
    probability: Math.exp(read.topLogProbs[i]),
    logit: read.topLogits[i],
  }))
}
