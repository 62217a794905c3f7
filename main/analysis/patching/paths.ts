/**
 * Path patching (Goldowsky-Dill et al. 2023; Wang et al. 2022): the effect that senders have through given receivers alone.
 * Two runs for each sender. In the first the sender holds the source's value and what lies between keeps the base's; what
 * the receivers then compute is kept. In the second, an ordinary run of the base, the receivers hold that.
 */
import type { PathRequest, SweepResult } from '../../../preload/sweep'
import { onPair } from './pairs'
import { planPaths } from './path-plan'
import { through } from './path-runs'
import { Findings, wantedOrder } from './progress'
import type { PatchingModel } from './subject'
import { evidences, notesOf, type SweepOptions } from './sweep'

/** Tokens in a run: of ordinary runs each row has ports at every frozen component, as large as its activations. */
const TOKENS = { runs: 256, wave: 2048 }

/**
 * @throws PatchbayError as a sweep, and `input.invalid` for a receiver that no sender comes before
 */
export async function patchPaths(
  model: PatchingModel,
  request: PathRequest,
  options: SweepOptions = {},
): Promise<SweepResult> {
  const began = performance.now()
  const { order, known, onProgress } = options
  const { metrics } = request
  const { lengths, list, pairs, plan, context } = await planPaths(model, request, options)
  const way = context.stack === null ? 'runs' : 'wave'
  const findings = new Findings(plan, onProgress)
  if (known !== undefined) findings.know(known)
  findings.begin()
  const wanted = wantedOrder(list.count, order, findings)
  const size = Math.max(1, Math.floor(TOKENS[way] / Math.max(...lengths)))
  for (let start = 0; start < wanted.length; start += size) {
    const batch = wanted.slice(start, start + size)
    const sums = batch.map(() => Array<number>(metrics.length).fill(0))
    for (const pair of pairs) {
      const senders = batch.map((index) => onPair(list.at(index), pair))
      const sending = senders.filter((sender) => sender !== null)
      const found = sending.length === 0 ? [] : await through(context, pair, sending)
      let row = 0
      senders.forEach((sender, i) => {
        const values = sender === null ? sums[i].map(() => NaN) : found[row++]
        values.forEach((value, metric) => (sums[i][metric] += value / pairs.length))
      })
    }
    findings.add(batch, sums)
  }
  const raw = findings.raw()
  const partnerless = wanted.filter((site) => Number.isNaN(raw.data[site])).length
  return {
    ...evidences(model, request),
    plan,
    raw,
    normalised: findings.normalised(),
    computed: wanted.length,
    unchanged: 0,
    seconds: (performance.now() - began) / 1000,
    way,
    notes: notesOf(plan.ends, partnerless),
  }
}
