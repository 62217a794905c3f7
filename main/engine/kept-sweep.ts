/** A sweep of the contract that begins with what earlier ones found, and leaves what it finds to later ones. */
import type { KnownSites, SweepProgress } from '../../preload/sweep'
import type { SweepStore } from '../cache/sweeps'

interface Run<T> {
  known: KnownSites | undefined
  onProgress: (progress: SweepProgress) => void
  run: (known: KnownSites | undefined, onProgress: (progress: SweepProgress) => void) => Promise<T>
}

/** Sites that were found before are told right after the plan, so that a map begins with them. */
export async function keptSweep<T>(
  store: SweepStore,
  key: string,
  { known, onProgress, run }: Run<T>,
): Promise<T> {
  const stored = await store.known(key)
  const told = new Set(known?.sites)
  const fresh = stored === null ? null : without(stored, told)
  const record = store.record(key, join(known, fresh))
  try {
    return await run(join(known, fresh) ?? undefined, (progress) => {
      onProgress(progress)
      if (progress.kind === 'values') record.add(progress.sites, progress.raw)
      else if (fresh !== null && fresh.sites.length > 0)
        onProgress({ kind: 'values', ...fresh, done: progress.done, total: progress.total })
    })
  } finally {
    await record.close()
  }
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
