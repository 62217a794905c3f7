/**
 * A GGUF file and what it must reproduce: `NAME.expected.safetensors` beside it, else the reference of the checkpoint from
 * which it was converted, `../architectures/NAME`. The expectation holds token ids and logits, or tensors as dequantised.
 */
import { stat } from 'node:fs/promises'
import path from 'node:path'
import { PatchbayError } from '../../../preload/errors'
import { runRequest } from '../../../preload/run'
import { openCheckpoint } from '../../models/formats/checkpoint'
import { SafetensorsFile } from '../../models/formats/safetensors'
import { relativeError } from './case'
import type { VerifySubject } from './check'
import { GroupTable, type GroupResult } from './groups'

/** The file with what `file` must reproduce, or null. */
export async function expectationOf(file: string): Promise<string | null> {
  const name = path.basename(file, '.gguf')
  const folder = path.dirname(file)
  const places = [
    path.join(folder, `${name}.expected.safetensors`),
    path.join(folder, '..', 'architectures', name, 'reference.safetensors'),
  ]
  for (const place of places) if (await isFile(place)) return place
  return null
}

/** Whether an expectation is of single tensors, not of a model's logits. */
export async function isOfTensors(expectation: string): Promise<boolean> {
  const expected = await SafetensorsFile.open(expectation)
  await expected.close()
  return !expected.tensors.has('input_ids')
}

/** Compares every tensor of the expectation with the file's, dequantised. */
export async function checkTensors(file: string, expectation: string): Promise<GroupResult[]> {
  const table = new GroupTable()
  const expected = await SafetensorsFile.open(expectation)
  try {
    const checkpoint = await openCheckpoint(file)
    try {
      for (const [name, { shape }] of expected.tensors) {
        const want = { shape: [...shape], data: await expected.readFloat32(name) }
        const got = { shape: want.shape, data: await checkpoint.readFloat32(name) }
        table.note('weights', name, relativeError(got, want))
      }
    } finally {
      await checkpoint.close()
    }
  } finally {
    await expected.close()
  }
  return table.results()
}

/** Compares a model's logits at all positions with the expectation's. */
export async function checkLogits(subject: VerifySubject, expectation: string): Promise<GroupResult[]> {
  const table = new GroupTable()
  const expected = await SafetensorsFile.open(expectation)
  try {
    const rows = await tokenRows(expected)
    const request = runRequest.parse({ model: subject.fingerprint, rows, logits: 'all' })
    const { logits } = await subject.run({ request, tensors: {} })
    const shape = [...(expected.tensors.get('logits')?.shape ?? [])]
    const want = { shape, data: await expected.readFloat32('logits') }
    table.note('logits', 'logits', logits === null ? Infinity : relativeError(logits, want))
  } finally {
    await expected.close()
  }
  return table.results()
}

async function tokenRows(expected: SafetensorsFile): Promise<number[][]> {
  const shape = expected.tensors.get('input_ids')?.shape ?? []
  if (shape.length !== 2)
    throw new PatchbayError('file.malformed', 'The expectation has no matrix of token ids.', {
      next: 'Make the expectation again.',
      file: expected.path,
      field: 'input_ids',
    })
  const ids = Array.from(await expected.readInt64('input_ids'), Number)
  return Array.from({ length: shape[0] }, (_, row) => ids.slice(row * shape[1], (row + 1) * shape[1]))
}

export const isFile = (file: string): Promise<boolean> =>
  stat(file).then(
    (found) => found.isFile(),
    () => false,
  )
