/**
 * A checkpoint is one safetensors file that is replaced as a whole: the new one is written beside the old one, synced and
 * renamed over it, so that at every moment a good one is there. It holds tensors, a JSON state, and a digest of both.
 */
import { createHash, type Hash } from 'node:crypto'
import { PatchbayError } from '../../preload/errors'
import type { DurableOptions } from '../files/durable-file'
import { SafetensorsFile, writeSafetensors } from '../models/formats/safetensors'

/** A tensor of a checkpoint; curves and counters need more than float32. */
export interface SavedTensor {
  readonly shape: readonly number[]
  readonly data: Float32Array | Float64Array
}

export interface Saved {
  readonly tensors: ReadonlyMap<string, SavedTensor>
  /** Plain JSON. */
  readonly state: unknown
}

const stateKey = 'patchbay.state'
const digestKey = 'patchbay.sha256'

/** @throws PatchbayError `disk.full`, `disk.failed`; the file that was there then still is */
export async function saveCheckpoint(
  file: string,
  { tensors, state }: Saved,
  options: DurableOptions = {},
): Promise<void> {
  const text = JSON.stringify(state)
  const hash = createHash('sha256').update(text)
  for (const [name, { data }] of tensors) digestTensor(hash, name, data)
  await writeSafetensors(
    file,
    [...tensors].map(([name, { shape, data }]) => ({ name, shape, data })),
    { [stateKey]: text, [digestKey]: hash.digest('hex'), order: JSON.stringify([...tensors.keys()]) },
    options,
  )
}

/**
 * Reads a checkpoint and checks its digest; null where there is no file.
 * @throws PatchbayError `file.malformed` for one that is damaged, `file.unreadable`
 */
export async function loadCheckpoint(file: string): Promise<Saved | null> {
  const opened = await openIfThere(file)
  if (opened === null) return null
  try {
    const { metadata } = opened
    const tensors = new Map<string, SavedTensor>()
    const text = metadata.get(stateKey) ?? ''
    const hash = createHash('sha256').update(text)
    for (const name of orderOf(metadata.get('order'), opened.tensors.keys())) {
      const entry = opened.tensors.get(name)
      if (entry === undefined) throw damaged(file)
      const bytes = (await opened.readRaw(name)).slice()
      const data = entry.storage === 'F64' ? new Float64Array(bytes.buffer) : new Float32Array(bytes.buffer)
      digestTensor(hash, name, data)
      tensors.set(name, { shape: entry.shape, data })
    }
    if (hash.digest('hex') !== metadata.get(digestKey)) throw damaged(file)
    return { tensors, state: JSON.parse(text) as unknown }
  } finally {
    await opened.close()
  }
}

async function openIfThere(file: string): Promise<SafetensorsFile | null> {
  try {
    return await SafetensorsFile.open(file)
  } catch (error) {
    if (error instanceof PatchbayError && error.code === 'file.missing') return null
    throw error
  }
}

/** Names in the order in which they were digested. */
function orderOf(text: string | undefined, there: Iterable<string>): string[] {
  const names = text === undefined ? [] : (JSON.parse(text) as unknown)
  const all = [...there]
  return Array.isArray(names) && names.length === all.length ? names.map(String) : all
}

function digestTensor(hash: Hash, name: string, data: ArrayBufferView): void {
  hash.update(name)
  hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
}

const damaged = (file: string): PatchbayError =>
  new PatchbayError('file.malformed', 'The checkpoint is damaged: its digest is not that of its content.', {
    file,
    next: 'Start again without resuming, or restore the file from a backup.',
  })
