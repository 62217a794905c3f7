/**
 * Logit lens (nostalgebraist 2020, "interpreting GPT: the logit lens"): what the model would predict if the residual stream
 * were read out early: softmax(unembed(final_norm(h))) at each point between blocks, at each position.
 */
import type { LensCell, LensMap } from '../../preload/views'
import { captureResiduals, checkPosition, gatherRows, type Captured } from './captures'
import { PatchbayError } from '../../preload/errors'
import { candidatesOf, tokenTable } from './candidates'
import type { AnalysisModel, Readout, RunOptions } from './subject'

/**
 * The lens at every point and position: top token, its probability, the distribution's entropy (nats), and rank and
 * probability of the token that the last point, which is the model itself, predicts at the position. All [point, pos].
 */
export async function lensMap(
  model: AnalysisModel,
  tokens: readonly number[],
  options: RunOptions = {},
): Promise<LensMap> {
  return lensMapOf(model, tokens, await captureResiduals(model, tokens, options), options.signal)
}

/** The same from residual streams that are at hand. */
export async function lensMapOf(
  model: AnalysisModel,
  tokens: readonly number[],
  residuals: Captured & { points: string[] },
  signal?: AbortSignal,
): Promise<LensMap> {
  const { points, activations, evidence } = residuals
  const last = points.length - 1
  const final = await model.readout(activations[last], { k: 1, signal })
  const positions = tokens.length
  const rows = activations.flatMap((_, point) => tokens.map((_token, position) => [point, position] as const))
  const targets = Int32Array.from(rows, ([, position]) => final.topIds[position])
  const read = await model.readout(gatherRows(activations, rows), {
    k: 1,
    targets: { ids: targets, perRow: 1 },
    signal,
  })
  const shape = [points.length, positions]
  return {
    evidence,
    points,
    topIds: { shape, data: read.topIds },
    topProbabilities: { shape, data: read.topLogProbs.map(Math.exp) },
    entropies: { shape, data: read.entropy },
    finalRanks: { shape, data: read.targetRanks },
    finalProbabilities: { shape, data: read.targetLogProbs.map(Math.exp) },
    tokens: tokenTable(model, [...read.topIds, ...tokens]),
  }
}

/**
 * One cell of the lens in full: its `count` most probable tokens, and how each of them ranks (0 = top) and how probable
 * it is at every point, [candidate, point].
 * @throws PatchbayError `input.invalid` for a point or position that is not there
 */
export async function lensCell(
  model: AnalysisModel,
  tokens: readonly number[],
  cell: { point: number; position: number; count: number },
  options: RunOptions = {},
): Promise<LensCell> {
  checkPosition(tokens, cell.position)
  checkPoint(model, cell.point)
  const { points, activations, evidence } = await captureResiduals(model, tokens, options)
  const count = Math.min(cell.count, model.facts.vocab)
  const column = (point: number) => [point, cell.position] as const
  const top = await model.readout(gatherRows(activations, [column(cell.point)]), {
    k: count,
    signal: options.signal,
  })
  const ids = new Int32Array(points.length * count)
  for (let point = 0; point < points.length; point++) ids.set(top.topIds, point * count)
  const overPoints = await model.readout(
    gatherRows(
      activations,
      points.map((_, point) => column(point)),
    ),
    {
      k: 0,
      targets: { ids, perRow: count },
      signal: options.signal,
    },
  )
  return {
    evidence,
    points,
    top: candidatesOf(model, top),
    ...byCandidate(overPoints, points.length, count),
  }
}

/** Ranks and probabilities from [point, candidate] to [candidate, point]. */
function byCandidate(
  read: Readout,
  points: number,
  count: number,
): Pick<LensCell, 'ranks' | 'probabilities'> {
  const shape = [count, points]
  const ranks = new Int32Array(points * count)
  const probabilities = new Float32Array(points * count)
  for (let point = 0; point < points; point++)
    for (let candidate = 0; candidate < count; candidate++) {
      ranks[candidate * points + point] = read.targetRanks[point * count + candidate]
      probabilities[candidate * points + point] = Math.exp(read.targetLogProbs[point * count + candidate])
    }
  return { ranks: { shape, data: ranks }, probabilities: { shape, data: probabilities } }
}

function checkPoint({ facts }: AnalysisModel, point: number): void {
  if (!Number.isInteger(point) || point < 0 || point > facts.layers)
    throw new PatchbayError(
      'input.invalid',
      `The lens of ${facts.name} has no point ${point}; its points are 0 to ${facts.layers}.`,
      {
        field: 'point',
        next: 'Choose one of the points of the lens.',
      },
    )
}
