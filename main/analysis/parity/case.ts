/**
 * A verification case: a folder with `reference.json` and `reference.safetensors`, whose tensors a model must reproduce.
 * What they mean is written in each `reference.json`.
 */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import { asPatchbayError, PatchbayError } from '../../../preload/errors'
import type { Tensor } from '../../../preload/tensor'
import { SafetensorsFile } from '../../models/formats/safetensors'
import { descriptionOf } from './description'

const index = z.number().int().nonnegative()

const referenceSchema = z.object({
  /** An export's description has none. */
  name: z.string().default(''),
  steer_block: index.optional(),
  patch: z.object({ block: index, position: index, from_row: index, into_row: index }).optional(),
  ablate: z.object({ layer: index, head: index }).optional(),
  /** Tokens of the gradients' metric: Σ over the batch of logits[last, tokA] − logits[last, tokB]. */
  tokA: index.optional(),
  tokB: index.optional(),
  new_tokens: index.optional(),
  computed_in: z.string().optional(),
  layers: index.optional(),
  /** Fingerprint of the model that Patchbay made the reference's program for. */
  made_for: z.string().optional(),
  /** Attribution: the folder of the checkpoint, the rows of the pair, steps of integrated gradients. */
  checkpoint: z.string().optional(),
  clean_row: index.optional(),
  corrupt_row: index.optional(),
  ig_steps: index.optional(),
})
export type Reference = z.infer<typeof referenceSchema>

export interface Case {
  readonly reference: Reference
  /** Names of the tensors that the case holds. */
  readonly names: readonly string[]
  /** A float tensor by name. */
  tensor(name: string): Promise<Tensor>
  /** A matrix of token ids, by rows. */
  tokens(name: string): Promise<number[][]>
  close(): Promise<void>
}

/**
 * Opens a case.
 * @throws PatchbayError `file.missing`, `file.malformed`
 */
export async function readCase(folder: string): Promise<Case> {
  const reference = await readReference(await descriptionOf(folder))
  return openCase(path.join(folder, 'reference.safetensors'), reference)
}

/** Opens tensors that come without a description: `input_ids`, `logits` and activations named as hook points. */
export const readBareCase = (file: string): Promise<Case> =>
  openCase(file, { name: path.basename(file, '.safetensors') })

async function openCase(tensors: string, reference: Reference): Promise<Case> {
  const file = await SafetensorsFile.open(tensors)
  const wrong = (problem: string, field: string): PatchbayError =>
    new PatchbayError('file.malformed', `The reference ${problem}.`, {
      next: 'Make the reference again.',
      file: file.path,
      field,
    })
  const shapeOf = (name: string): readonly number[] => {
    const entry = file.tensors.get(name)
    if (entry === undefined) throw wrong(`has no tensor ${name}`, name)
    return entry.shape
  }
  return {
    reference,
    names: [...file.tensors.keys()],
    async tensor(name) {
      return { shape: shapeOf(name), data: await file.readFloat32(name) }
    },
    async tokens(name) {
      const shape = shapeOf(name)
      if (shape.length !== 2 || shape[0] === 0 || shape[1] === 0)
        throw wrong(`has no matrix of token ids ${name}`, name)
      const [rows, columns] = shape
      const ids = Array.from(await file.readInt64(name), Number)
      return Array.from({ length: rows }, (_, row) => ids.slice(row * columns, (row + 1) * columns))
    },
    close: () => file.close(),
  }
}

async function readReference(file: string): Promise<Reference> {
  let content: unknown
  try {
    content = JSON.parse(await readFile(file, 'utf8'))
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw asPatchbayError(error)
    throw new PatchbayError('file.malformed', 'reference.json is no JSON.', {
      next: 'Make the reference again.',
      file,
      cause: error,
    })
  }
  const parsed = referenceSchema.safeParse(content)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new PatchbayError('file.malformed', `reference.json: ${issue.path.join('.')} ${issue.message}.`, {
    next: 'Make the reference again.',
    file,
    field: issue.path.join('.'),
  })
}

/** max|got − want| / max|want|; infinite where shapes differ or a number is none. */
export function relativeError(got: Tensor, want: Tensor): number {
  if (got.data.length !== want.data.length) return Infinity
  let difference = 0
  let largest = 0
  for (let i = 0; i < want.data.length; i++) {
    const distance = Math.abs(got.data[i] - want.data[i])
    if (Number.isNaN(distance)) return Infinity
    difference = Math.max(difference, distance)
    largest = Math.max(largest, Math.abs(want.data[i]))
  }
  return largest === 0 ? difference : difference / largest
}
