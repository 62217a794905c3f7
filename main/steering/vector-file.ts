/** The files that hold steering vectors: safetensors named by their own hash, so that a name can only ever mean one content. */
import { createHash } from 'node:crypto'
import type { PresetSite } from '../../preload/preset'
import type { Tensor } from '../../preload/tensor'
import { malformed, quoted } from '../models/formats/malformed'
import { decodeSafetensors, encodeSafetensors, float32Of } from '../models/formats/safetensors'

/** Name of the one tensor in vector files that Patchbay writes. */
const TENSOR = 'vector'

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

export const vectorFileName = (hash: string): string => `${hash}.safetensors`

/** A vector [d_model] as a file: its bytes, and what a preset says about it. */
export function encodeVectorFile(data: Float32Array): { bytes: Uint8Array; vector: PresetSite['vector'] } {
  const bytes = encodeSafetensors([{ name: TENSOR, shape: [data.length], data }])
  const hash = sha256(bytes)
  return { bytes, vector: { file: vectorFileName(hash), sha256: hash, tensor: TENSOR, norm: normOf(data) } }
}

/**
 * The vector that a site names in its file.
 * @throws PatchbayError `file.malformed` where the file is no safetensors, lacks the tensor, or where that is not a finite
 * float32 vector of the stated norm
 */
export function decodeVectorFile(bytes: Uint8Array, { vector }: PresetSite): Tensor {
  const tensor = decodeSafetensors(bytes, vector.file).tensors.get(vector.tensor)
  const bad = (problem: string) =>
    malformed(vector.file, `the tensor ${quoted(vector.tensor)} ${problem}`, {
      field: 'sites.vector',
      next: 'Import the preset again, or delete it.',
    })
  if (tensor === undefined) throw bad('is not in it')
  if (tensor.storage !== 'F32' || tensor.shape.length !== 1)
    throw bad(`is ${tensor.storage} [${tensor.shape.join(', ')}], not a float32 vector`)
  const data = float32Of(tensor)
  const norm = normOf(data)
  if (!(Math.abs(norm - vector.norm) <= 1e-4 * vector.norm))
    throw bad(`has the norm ${norm}, where the preset says ${vector.norm}`)
  return { shape: tensor.shape, data }
}

const normOf = (data: Float32Array): number => Math.sqrt(data.reduce((sum, x) => sum + x * x, 0))
