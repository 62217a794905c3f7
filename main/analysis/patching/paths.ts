/**
 * Path patching (Goldowsky-Dill et al. 2023; Wang et al. 2022): the effect that senders have through given receivers alone.
 * Two runs for each sender. In the first the sender holds the source's value and what lies between keeps the base's; what
 * the receivers then compute is kept. In the second, an ordinary run of the base, the receivers hold that.
 */
import { PatchbayError } from '../../../preload/errors'
import { componentSites, type PathRequest, type SweepResult } from '../../../preload/sweep'
import type { Tensor } from '../../../preload/tensor'
import type { ForwardRequest } from '../../runtime'
import type { PortsByHook } from '../../runtime/interventions'
import type { AffinePort, PortValue } from '../../runtime/ports'
import { offsetsOf, selectedAxes, type PatchSite } from '../../runtime/wave/site'
import type { LogitRow } from './metric'
import { checkPairs, meanEnds, onPair, runPair, type RunPair } from './pairs'
import { Findings, wantedOrder } from './progress'
import { portsOf, runRows } from './rows'
import { invalid, placesOf, sitesOf, type SweepSite } from './sites'
import { need } from './source'
import type { PatchingModel } from './subject'
import { notesOf, promptEvidence, type SweepOptions } from './sweep'
import { runnerOf } from './ways'

/** Tokens in a run: each row has ports at every frozen component, as large as its activations. */
const TOKENS = 256

/**
 * @throws PatchbayError as a sweep, and `input.invalid` for a receiver that no sender comes before
 */
export async function patchPaths(
  model: PatchingModel,
  request: PathRequest,
  options: SweepOptions = {},
): Promise<SweepResult> {
  const began = performance.now()
  const { tensors = {}, order, known, signal, onProgress } = options
  const { pairs, direction, source, metrics, target } = request
  const lengths = checkPairs(model, pairs, metrics, direction).map(({ length }) => length)
  const list = sitesOf(model, target, lengths)
  const receivers = placesOf(model, request.receivers, lengths, 'receivers')
  const frozen = frozenHooks(model, request.frozen)
  checkReceivers(receivers, list.hooks, frozen)
  const hooks = [...new Set([...list.hooks, ...receivers.map(({ hook }) => hook), ...frozen])]
  const runner = runnerOf(model)
  const context = { model, runner, direction, source, metrics, tensors, signal }
  const run: RunPair[] = []
  for (const [i, pair] of pairs.entries()) run.push(await runPair(context, pair, i, hooks))

  const plan = { axes: list.axes, shape: list.shape, ends: meanEnds(run), hooks: list.hooks }
  const findings = new Findings(plan, onProgress)
  if (known !== undefined) findings.know(known)
  findings.begin()
  const wanted = wantedOrder(list.count, order, findings)
  const size = Math.max(1, Math.floor(TOKENS / Math.max(...lengths)))
  for (let start = 0; start < wanted.length; start += size) {
    const batch = wanted.slice(start, start + size)
    const sums = batch.map(() => Array<number>(metrics.length).fill(0))
    for (const pair of run) {
      const senders = batch.map((index) => onPair(list.at(index), pair))
      const logits = await through(model, pair, senders, receivers, frozen, signal)
      logits.forEach((row, i) => {
        const values = row === null ? Array<number>(metrics.length).fill(NaN) : pair.valuesOf(row)
        values.forEach((value, metric) => (sums[i][metric] += value / run.length))
      })
    }
    findings.add(batch, sums)
  }
  const raw = findings.raw()
  const partnerless = wanted.filter((site) => Number.isNaN(raw.data[site])).length
  return {
    evidence: promptEvidence(model, run[0].base.tokens),
    source:
      source.kind === 'prompt'
        ? promptEvidence(model, pairs[0][direction === 'noising' ? 'corrupt' : 'clean'])
        : null,
    direction,
    plan,
    raw,
    normalised: findings.normalised(),
    computed: wanted.length,
    unchanged: 0,
    seconds: (performance.now() - began) / 1000,
    way: 'runs',
    notes: notesOf(plan.ends, partnerless),
  }
}

/** Hook points that keep the base's value between senders and receivers. */
function frozenHooks(model: PatchingModel, kind: PathRequest['frozen']): string[] {
  const sites = kind === 'heads' ? [componentSites.z] : [componentSites.z, componentSites.mlp_out]
  return Array.from({ length: model.facts.layers }, (_, layer) =>
    sites.map((site) => model.runnable.hook(`blocks.${layer}.${site}`).name),
  ).flat()
}

/** A receiver must be able to hear some sender. */
function checkReceivers(
  receivers: readonly SweepSite[],
  senders: readonly string[],
  frozen: readonly string[],
): void {
  const fixed = receivers.find(({ hook }) => frozen.includes(hook))
  if (fixed !== undefined)
    throw invalid(
      `The receiver ${fixed.hook} is among what stays as in the base run`,
      'receivers',
      'Receive at an input: attn.hook_q, hook_k or hook_v, ln2.hook_normalized, or the last hook_resid_post.',
    )
  const first = Math.min(...senders.map(layerOf))
  const deaf = receivers.find(({ hook }) => layerOf(hook) < first)
  if (deaf === undefined) return
  throw invalid(
    `The receiver ${deaf.hook} comes before every sender`,
    'receivers',
    'Choose receivers behind the senders.',
  )
}

const layerOf = (hook: string): number => Number(/^blocks\.(\d+)\./.exec(hook)?.[1] ?? -1)

/** Logits at the positions that are read, for each sender; null for one that has nothing to send. */
async function through(
  model: PatchingModel,
  pair: RunPair,
  senders: readonly (PatchSite | null)[],
  receivers: readonly SweepSite[],
  frozen: readonly string[],
  signal: AbortSignal | undefined,
): Promise<(LogitRow[] | null)[]> {
  const sending = senders.filter((sender) => sender !== null)
  if (sending.length === 0) return senders.map(() => null)
  const { tokens, ports } = pair.base
  const start = { kind: 'tokens', rows: sending.map(() => tokens) } as const
  const heard = [...new Set(receivers.map(({ hook }) => hook))]
  const first: ForwardRequest = {
    start,
    captures: heard,
    ports: sendingPorts(sending, pair, frozen),
    logits: 'none',
    signal,
  }
  const { captures } = await model.runnable.forward(first)
  const second = {
    start,
    ports: receivingPorts(receivers, captures, sending.length, tokens.length, ports),
    signal,
  }
  const { logits } = await runRows(model.runnable, second, pair.reads)
  let row = 0
  return senders.map((sender) => (sender === null ? null : logits[row++]))
}

/** Everything frozen holds the base's value, but for the senders, which hold the source's. */
function sendingPorts(senders: readonly PatchSite[], pair: RunPair, frozen: readonly string[]): PortsByHook {
  const rows = senders.map((sender) => [sender])
  const ports = new Map<string, PortValue[]>(
    [...(pair.base.ports ?? [])].map(([hook, values]) => [hook, [...values]]),
  )
  // One port at each hook point, whichever rows send from there: all batches share their graphs.
  const sent = portsOf(rows, pair.source)
  for (const hook of new Set([...frozen, ...sent.keys()])) {
    const sending = sent.get(hook) ?? []
    const fixed = frozen.includes(hook) ? frozenPort(need(pair.base.activations, hook)) : null
    const port = fixed === null ? sending : [sending.length === 0 ? fixed : over(fixed, sending[0])]
    ports.set(hook, [...(ports.get(hook) ?? []), ...port])
  }
  return ports
}

const frozenPort = ({ shape, data }: Tensor): AffinePort => ({
  kind: 'affine',
  keep: { shape: [1, ...shape.map(() => 1)], data: Float32Array.of(0) },
  value: { shape: [1, ...shape], data },
})

/** The frozen value, and the sender's where that replaces it. */
function over(fixed: AffinePort, sending: PortValue): AffinePort {
  if (sending.kind !== 'affine') throw new PatchbayError('internal', 'Senders are replaced, not turned.')
  const { keep, value } = sending
  const size = fixed.value.data.length
  const data = value.data.map((x, i) => (keep.data[i] === 0 ? x : fixed.value.data[i % size]))
  return { kind: 'affine', keep: fixed.keep, value: { shape: value.shape, data } }
}

/** Receivers hold what each row of the first run computed at them. */
function receivingPorts(
  receivers: readonly SweepSite[],
  captures: ReadonlyMap<string, Tensor>,
  rows: number,
  length: number,
  before: PortsByHook = new Map(),
): PortsByHook {
  const ports = new Map<string, PortValue[]>([...before].map(([hook, values]) => [hook, [...values]]))
  const every = Array.from({ length }, (_, position) => position)
  const byHook = new Map<string, SweepSite[]>()
  for (const receiver of receivers)
    byHook.set(receiver.hook, [...(byHook.get(receiver.hook) ?? []), receiver])
  for (const [hook, sites] of byHook) {
    const captured = captures.get(hook)
    if (captured === undefined) throw new PatchbayError('internal', `The run did not give ${hook}.`)
    const shape = captured.shape.slice(1)
    const size = captured.data.length / rows
    const keep = new Float32Array(captured.data.length).fill(1)
    const value = new Float32Array(captured.data.length)
    for (const site of sites) {
      const offsets = offsetsOf(selectedAxes({ ...site, positions: site.positions ?? every }, shape), shape)
      for (let row = 0; row < rows; row++)
        for (const at of offsets) {
          keep[row * size + at] = 0
          value[row * size + at] = captured.data[row * size + at]
        }
    }
    const port: AffinePort = {
      kind: 'affine',
      keep: { shape: captured.shape, data: keep },
      value: { shape: captured.shape, data: value },
    }
    ports.set(hook, [...(ports.get(hook) ?? []), port])
  }
  return ports
}
