/**
 * A sweep of the contract that begins with what earlier ones found, and leaves what it finds to later ones. One that was
 * finished before is shown as it was, and runs nothing.
 */
import { sizeOf, type Tensor } from '../../preload/tensor'
import type { KnownSites, SweepProgress, SweepResult } from '../../preload/sweep'
import type { SweepStore } from '../cache/sweeps'

interface Run {
  known: KnownSites | undefined
  onProgress: (progress: SweepProgress) => void
  run: (known: KnownSites | undefined, onProgress: (progress: SweepProgress) => void) => Promise<SweepResult>
}

/** Sites that were found before are told right after the plan, so that a map begins with them. */
export async function keptSweep(
  store: SweepStore,
  key: string,
  { known, onProgress, run }: Run,
): Promise<SweepResult> {
  const finished = await store.finished(key)
  if (finished !== null) return shown(finished, known, onProgress)

  const stored = await store.known(key)
  const told = new Set(known?.sites)
  const fresh = stored === null ? null : without(stored, told)
  const record = store.record(key, join(known, fresh))
  try {
    const result = await run(join(known, fresh) ?? undefined, (progress) => {
      onProgress(progress)
      if (progress.kind === 'values') record.add(progress.sites, progress.raw)
      else if (fresh !== null && fresh.sites.length > 0)
        onProgress({ kind: 'values', ...fresh, done: progress.done, total: progress.total })
    })
    await store.finish(key, result)
    return result
  } finally {
    await record.close()
  }
}

/** A finished sweep as if it had run: nothing is computed. */
function shown(
  result: SweepResult,
  known: KnownSites | undefined,
  onProgress: (progress: SweepProgress) => void,
): SweepResult {
  const total = sizeOf(result.plan.shape)
  const all = { sites: Int32Array.from({ length: total }, (_, site) => site), raw: bySite(result.raw, total) }
  onProgress({ kind: 'plan', plan: result.plan, done: total, total })
  const values = without(all, new Set(known?.sites))
  if (values.sites.length > 0) onProgress({ kind: 'values', ...values, done: total, total })
  return { ...result, computed: 0, unchanged: 0, seconds: 0 }
}

/** [metric, …shape] → [site, metric] */
function bySite({ shape: [metrics], data }: Tensor, total: number): Tensor {
  const out = new Float32Array(data.length)
  for (let site = 0; site < total; site++)
    for (let metric = 0; metric < metrics; metric++)
      out[site * metrics + metric] = data[metric * total + site]
  return { shape: [total, metrics], data: out }
}

function without({ sites, raw }: KnownSites, told: ReadonlySet<number>): KnownSites {
  const [, width] = raw.shape
  const kept = Array.from(sites.keys()).filter((i) => !told.has(sites[i]))
  const data = new Float32Array(kept.length * width)
  kept.forEach((i, row) => data.set(raw.data.subarray(i * width, (i + 1) * width), row * width))
  return { sites: Int32Array.from(kept, (i) => sites[i]), raw: { shape: [kept.length, width], data } }
}

function join(a: KnownSites | undefined, b: KnownSites | null): KnownSites | null {
  if (a === undefined || b === null) return a ?? b
  const data = new Float32Array(a.raw.data.length + b.raw.data.length)
  data.set(a.raw.data)
  data.set(b.raw.data, a.raw.data.length)
  return {
    sites: Int32Array.from([...a.sites, ...b.sites]),
    raw: { shape: [a.sites.length + b.sites.length, a.raw.shape[1] ?? b.raw.shape[1]], data },
  }
}
