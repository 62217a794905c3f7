/** A direction from a file: the first tensor of it that is one vector. */
import { PatchbayError } from '../../../../preload/errors'
import type { Tensor } from '../../../../preload/tensor'
import { tensorsOfFile } from '../../../files/tensor-file'

/** [d], also where it lies as [1, d]. @throws PatchbayError `file.malformed` */
export function directionOf(file: string, bytes: Uint8Array): Tensor {
  const vector = Object.values(tensorsOfFile(file, bytes)).find(
    ({ shape }) => shape.length === 1 || (shape.length === 2 && shape[0] === 1),
  )
  if (vector !== undefined) return { shape: [vector.data.length], data: vector.data }
  throw new PatchbayError('file.malformed', `${file} holds no tensor that is one vector.`, {
    file,
    next: 'Choose a .safetensors or .npy file with one vector.',
  })
}
