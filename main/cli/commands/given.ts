/** What a command is given beside its flags: JSON on the line or in a file, tensors in a file. */
import { readFile } from 'node:fs/promises'
import { PatchbayError } from '../../../preload/errors'
import type { Tensor } from '../../../preload/tensor'
import { decodeSafetensors, float32Of } from '../../models/formats/safetensors'

/** JSON as it is given, or in a file. @throws PatchbayError `input.invalid` for what is none */
export async function readJson(given: string, what: string): Promise<unknown> {
  const text = /^\s*[[{]/.test(given) ? given : await readFile(given, 'utf8')
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new PatchbayError('input.invalid', `${what} is not JSON.`, {
      next: 'Check quotes and brackets, or give the name of a file with it.',
      cause,
    })
  }
}

/** The tensors of a .safetensors file by name, as float32. @throws PatchbayError `file.malformed` */
export async function readTensors(file: string): Promise<Record<string, Tensor>> {
  const { tensors } = decodeSafetensors(await readFile(file), file)
  return Object.fromEntries(
    [...tensors].map(([name, tensor]) => [name, { shape: tensor.shape, data: float32Of(tensor) }]),
  )
}
