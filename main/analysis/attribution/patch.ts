/** Activation patching for real (Vig et al. 2020; Meng et al. 2022): chosen places, each in a row of its own. */
import type { PatchPlace, PatchResult } from '../../../preload/attribution'
import { PatchbayError } from '../../../preload/errors'
import { hookDims, hookName, type HookPoint } from '../../../preload/hooks'
import { runRequest, type InterventionInput, type RunInput } from '../../../preload/run'
import { sizeOf, type Tensor } from '../../../preload/tensor'
import type { Evidence } from '../../../preload/views'
import { throwIfCancelled } from '../../runtime/cancelled'
import { captureInput, checkPosition, hookOf, withoutBatch } from '../captures'
import { evidenceOf } from '../evidence'
import type { AnalysisModel, RunOptions } from '../subject'
import { logitsFor, metricOf } from './metric'
import { endsOf, metricOfPrompt, normalised, pairOf, type Pair, type PairRequest } from './pair'

export interface PatchRequest extends PairRequest {
  places: readonly PatchPlace[]
}

/** Elements of the widest activation or of the logits of one batch: bounds its memory. */
const BATCH_ELEMENTS = 2 ** 23
const MAX_ROWS = 64

/**
 * The exact effect of every place patched alone.
 * @throws PatchbayError `hook.unknown`, `hook.unavailable`, `input.invalid` for places that are not there or have no partner
 */
export async function patch(
  model: AnalysisModel,
  request: PatchRequest,
  options: RunOptions = {},
): Promise<PatchResult> {
  const pair = pairOf(model, request)
  const places = request.places.map((place, i) => resolve(model, pair, place, `places.${i}`))
  const { signal, onProgress } = options
  const clean = await metricOfPrompt(model, pair.clean, { signal })
  const corrupt = await metricOfPrompt(model, pair.corrupt, { signal })
  const ends = endsOf(clean, corrupt)
  const base = pair.direction === 'noising' ? clean : corrupt
  const hooks = [...new Set(places.map(({ hook }) => hook))]
  const { captures } = await model.run(captureInput(model, pair.source.tokens, hooks), { signal })

  // Places of one hook point travel together: each block that is changed is then compiled for few kinds of change.
  const order = Array.from(places.keys()).sort(
    (a, b) => hooks.indexOf(places[a].hook) - hooks.indexOf(places[b].hook) || a - b,
  )
  const metrics = new Float64Array(places.length)
  const rows = rowsAtOnce(model, pair)
  let evidence: Evidence | null = null
  for (let start = 0; start < order.length; start += rows) {
    throwIfCancelled(signal)
    const chunk = order.slice(start, start + rows)
    const input = patchedInput(
      model,
      pair,
      chunk.map((i) => places[i]),
      captures,
    )
    evidence ??= evidenceOf(model, input)
    const { logits } = await model.run(input, { signal, transient: true })
    chunk.forEach((place, row) => (metrics[place] = metricOf(logits, row, pair.base.metric)))
    onProgress?.(Math.min(start + rows, order.length), order.length)
  }
  if (evidence === null) throw new PatchbayError('internal', 'No place was patched.')
  return {
    evidence,
    direction: pair.direction,
    ends,
    places: Array.from(metrics, (metric) => ({
      metric,
      effect: metric - base,
      normalised: normalised(ends, metric),
    })),
  }
}

interface ResolvedPlace {
  /** Canonical. */
  readonly hook: string
  /** Positions of the base, all with partners. */
  readonly positions: readonly number[]
  readonly head: number | null
  readonly units: readonly number[] | null
}

function resolve(model: AnalysisModel, pair: Pair, place: PatchPlace, field: string): ResolvedPlace {
  const point = hookOf(model, place.hook)
  if (hookDims(point)[1] !== 'pos')
    throw new PatchbayError(
      'hook.unavailable',
      `${hookName(point)} has no axis of positions of its own, along which two prompts could be aligned.`,
      { next: 'Patch queries, keys, values or z instead of scores and patterns.', field: `${field}.hook` },
    )
  if (place.head !== undefined && headAxis(point) === -1)
    throw new PatchbayError('input.invalid', `${hookName(point)} has no heads to choose from.`, {
      next: 'Leave the head out.',
      field: `${field}.head`,
    })
  const paired = pair.partners.flatMap((partner, position) => (partner === null ? [] : [position]))
  for (const position of place.positions ?? []) {
    checkPosition(pair.base.tokens, position)
    if (pair.partners[position] === null)
      throw new PatchbayError(
        'input.invalid',
        `Position ${position} has no partner in the other prompt, so there is nothing to put there.`,
        { next: 'Choose a position that the alignment pairs.', field: `${field}.positions` },
      )
  }
  const positions = [...new Set(place.positions ?? paired)].sort((a, b) => a - b)
  if (positions.length === 0)
    throw new PatchbayError('input.invalid', 'The two prompts have no position in common.', {
      next: 'Choose prompts that resemble each other.',
      field,
    })
  return {
    hook: hookName(point),
    positions,
    head: place.head ?? null,
    units: place.units === undefined ? null : [...new Set(place.units)].sort((a, b) => a - b),
  }
}

const headAxis = (point: HookPoint): number =>
  hookDims(point).findIndex((dim) => dim === 'head' || dim === 'kv_head')

/** The base once for each place, with that place's activation taken from the source. */
function patchedInput(
  model: AnalysisModel,
  { base, partners }: Pair,
  places: readonly ResolvedPlace[],
  captures: Readonly<Record<string, Tensor>>,
): RunInput {
  const tensors: Record<string, Tensor> = {}
  const interventions = places.map((place, row): InterventionInput => {
    const { hook, positions, head, units } = place
    const value = `place ${row}`
    tensors[value] = selected(
      withoutBatch(captures, hook),
      positions.map((position) => partners[position] ?? NaN),
      head,
      units,
      hook,
    )
    return {
      hook,
      rows: [row],
      positions: [...positions],
      ...(head === null ? {} : { heads: [head] }),
      ...(units === null ? {} : { units: [...units] }),
      operation: { kind: 'replace', value },
    }
  })
  const request = runRequest.parse({
    model: model.facts.fingerprint,
    rows: places.map(() => base.tokens),
    interventions,
    logits: logitsFor([base.metric]),
  })
  return { request, tensors }
}

/** Positions, and one head and some units where given, of an activation [pos, (head,) width]. */
function selected(
  activation: Tensor,
  positions: readonly number[],
  head: number | null,
  units: readonly number[] | null,
  hook: string,
): Tensor {
  const [, ...inner] = activation.shape
  const width = inner[inner.length - 1]
  const count = sizeOf(inner) / width
  const heads = head === null ? Array.from({ length: count }, (_, i) => i) : [head]
  const chosen = units ?? Array.from({ length: width }, (_, i) => i)
  const outside = [...(head !== null && head >= count ? [head] : []), ...chosen.filter((i) => i >= width)]
  if (outside.length > 0)
    throw new PatchbayError(
      'input.invalid',
      `${hook} has no index ${outside[0]}: its axes are ${inner.join(' × ')}.`,
      {
        next: 'Choose heads and units that the model has.',
        field: 'places',
      },
    )
  const data = new Float32Array(positions.length * heads.length * chosen.length)
  let written = 0
  for (const position of positions)
    for (const h of heads)
      for (const unit of chosen) data[written++] = activation.data[(position * count + h) * width + unit]
  const leading = inner.length > 1 ? [positions.length, heads.length] : [positions.length]
  return { shape: [...leading, chosen.length], data }
}

function rowsAtOnce({ facts }: AnalysisModel, { base }: Pair): number {
  const positions = base.tokens.length
  const logits = base.metric.last ? facts.vocab : positions * facts.vocab
  const perRow = Math.max(logits, positions * facts.dModel * 8)
  return Math.max(1, Math.min(MAX_ROWS, Math.floor(BATCH_ELEMENTS / perRow)))
}
