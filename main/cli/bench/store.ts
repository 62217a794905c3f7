/**
 * `store`: random slices out of a store of some gigabytes, beside bare reads of as many bytes, and how long a store of a
 * million entries takes to open. Both are made in a temporary folder first.
 */
import { mkdtemp, open, readdir, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { PatchbayError } from '../../../preload/errors'
import { requireSpace } from '../../files/durable-file'
import { rowKey, type RowRequest } from '../../cache/row-request'
import { ActivationStore, type Dtype, type EntryId, type PutItem } from '../../cache/store/store'
import { residualPoints } from '../../../preload/hooks'
import type { TaskResult } from './tasks'

export interface StoreSizes {
  /** Bytes of the store that is read from. */
  bytes: number
  /** Entries of the store that is opened. */
  entries: number
}

/** As an extraction of SmolLM2's residual stream at all points has them: [pos, d_model] in float16. */
const POSITIONS = 64
const WIDTH = 576
const POINTS = residualPoints(30)
const READS = 1000

export async function store({ bytes, entries }: StoreSizes): Promise<TaskResult> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'patchbay-store-bench-'))
  try {
    await requireSpace(path.join(folder, 'store'), 1.1 * bytes + 500 * entries)
    const large = await filled(path.join(folder, 'large'), {
      rows: Math.ceil(bytes / (POINTS.length * POSITIONS * WIDTH * 2)),
      together: 14,
      shape: [POSITIONS, WIDTH],
      dtype: 'float16',
    })
    const reads = await timeReads(large.root, large.rows)
    const many = await filled(path.join(folder, 'many'), {
      rows: Math.ceil(entries / POINTS.length),
      together: 264,
      shape: [1, 8],
      dtype: 'float32',
    })
    const opening = await timeOpening(many.root, many.rows)
    const floor = await timeBareReads(large.root)
    return {
      task: 'store',
      median_s: quantile(reads, 0.5),
      min_s: quantile(reads, 0),
      runs: READS,
      detail: {
        p50_ms: 1000 * quantile(reads, 0.5),
        p99_ms: 1000 * quantile(reads, 0.99),
        floor_p50_ms: 1000 * quantile(floor, 0.5),
        floor_p99_ms: 1000 * quantile(floor, 0.99),
        ratio: quantile(reads, 0.5) / quantile(floor, 0.5),
        gigabytes: large.bytes / 1e9,
        write_mb_s: large.bytes / 1e6 / large.seconds,
        index_entries: many.entries,
        index_open_ms: 1000 * opening.open,
        index_find_ms: 1000 * opening.find,
        index_fill_s: many.seconds,
      },
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

interface Filling {
  rows: number
  /** Rows that are put at once. */
  together: number
  shape: readonly number[]
  dtype: Dtype
}

async function filled(root: string, { rows, together, shape, dtype }: Filling) {
  const made = await ActivationStore.open(root, { producer: 'bench' })
  await made.gc({ quota: 1e15 })
  const requests = Array.from({ length: rows }, (_, i) => requestOf(i))
  const size = shape.reduce((product, n) => product * n, 1)
  // A window that moves over more numbers than an entry has: entries differ, and none has to be made up.
  const numbers = Float32Array.from({ length: 4 * size }, (_, i) => Math.sin(i * 0.37) * (1 + (i % 11)))
  const start = performance.now()
  for (let first = 0; first < rows; first += together) {
    const items = requests.slice(first, first + together).flatMap((request, i): PutItem[] => {
      const row = rowKey(request)
      return POINTS.map((output, j) => {
        const from = ((first + i) * 31 + j) % (3 * size)
        return { row, request, output, dtype, shape, data: numbers.subarray(from, from + size) }
      })
    })
    await made.put(items, { set: 'bench' })
  }
  const seconds = (performance.now() - start) / 1000
  await made.gc()
  const { bytes, entries } = made.statistics()
  await made.close()
  return { root, rows: requests.map(rowKey), bytes, entries, seconds }
}

const requestOf = (index: number): RowRequest => ({
  version: 1,
  model: 'be'.repeat(32),
  precision: 'float32',
  provider: 'cpu',
  tokens: Array.from({ length: POSITIONS }, (_, i) => (index * 7919 + i) % 49152),
  interventions: [],
})

/** Numbers from 0 to `below`, the same in every run. */
function* random(below: number): Generator<number> {
  for (let seed = 42; ;) {
    seed = (seed * 48271) % 2147483647
    yield Math.floor((seed / 2147483647) * below)
  }
}

/** Seconds of each of many reads of one position, warm. */
async function timeReads(root: string, rows: readonly string[]): Promise<number[]> {
  const reader = await ActivationStore.open(root, { producer: 'bench' })
  const next = random(2 ** 30)
  const pick = (): [EntryId, number] => {
    const [row, point, position] = [next, next, next].map((source) => source.next().value as number)
    return [
      { row: rows[row % rows.length], output: POINTS[point % POINTS.length], dtype: 'float16' },
      position % POSITIONS,
    ]
  }
  const read = async (): Promise<number> => {
    const [id, position] = pick()
    const start = performance.now()
    const found = await reader.read(id, [[position, position + 1]])
    const seconds = (performance.now() - start) / 1000
    if (found?.data.length !== WIDTH)
      throw new PatchbayError('internal', 'The store did not return what was put into it.')
    return seconds
  }
  for (let i = 0; i < READS; i++) await read()
  const times: number[] = []
  for (let i = 0; i < READS; i++) times.push(await read())
  await reader.close()
  return times
}

/** Seconds of as many bare reads of the same number of bytes. */
async function timeBareReads(root: string): Promise<number[]> {
  const folder = path.join(root, 'shards')
  const files = await Promise.all((await readdir(folder)).map((name) => open(path.join(folder, name), 'r')))
  const sizes = await Promise.all(files.map(async (file) => (await file.stat()).size))
  const next = random(2 ** 30)
  const buffer = new Uint8Array(WIDTH * 2)
  const times: number[] = []
  for (let i = 0; i < 2 * READS; i++) {
    const file = (next.next().value as number) % files.length
    const at = (next.next().value as number) % Math.max(1, sizes[file] - buffer.length)
    const start = performance.now()
    await files[file].read(buffer, 0, buffer.length, at)
    if (i >= READS) times.push((performance.now() - start) / 1000)
  }
  await Promise.all(files.map((file) => file.close()))
  return times
}

/** Seconds until a store is open, and until an entry is found in it. */
async function timeOpening(root: string, rows: readonly string[]): Promise<{ open: number; find: number }> {
  const start = performance.now()
  const opened = await ActivationStore.open(root, { producer: 'bench' })
  const open = (performance.now() - start) / 1000
  const found = await opened.find({ row: rows[rows.length >> 1], output: POINTS[3], dtype: 'float32' })
  const find = (performance.now() - start) / 1000
  await opened.close()
  if (found === null) throw new PatchbayError('internal', 'The store did not find what was put into it.')
  return { open, find }
}

function quantile(times: readonly number[], part: number): number {
  const sorted = [...times].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]
}
