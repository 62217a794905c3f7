/** Which ONNX file a path stands for, and the configuration that belongs to it. */
import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { PatchbayError } from '../../../../preload/errors'
import { quoted, readFailure } from '../malformed'
import { readConfig } from '../open'
import { openOnnx, type OnnxCheckpoint } from './checkpoint'

const isOther = /\.(safetensors|gguf)$/
/** Numbers that an export is compared with, not weights. */
const REFERENCE = 'reference.safetensors'
const isOnnx = (name: string): boolean => name.endsWith('.onnx')

/**
 * The ONNX file that was meant: the path itself, or in a folder without other weights its `model.onnx` or its only one,
 * there or in the subfolder `onnx`. Null where there is none.
 * @throws PatchbayError `file.missing`, `file.unreadable`
 */
export async function findOnnx(place: string): Promise<string | null> {
  try {
    if (!(await stat(place)).isDirectory()) return isOnnx(place) ? place : null
    const names = await readdir(place)
    if (names.some((name) => isOther.test(name) && name !== REFERENCE)) return null
    const found = names.filter(isOnnx)
    if (found.includes('model.onnx')) return path.join(place, 'model.onnx')
    if (found.length === 1) return path.join(place, found[0])
    return names.includes('onnx') && found.length === 0 ? await findOnnx(path.join(place, 'onnx')) : null
  } catch (cause) {
    throw readFailure(place, cause)
  }
}

/**
 * Opens the ONNX file that a path stands for, with the `config.json` of its folder, or of the folder around `onnx`.
 * @throws PatchbayError as `openOnnx`; `file.missing` where there is none
 */
export async function openOnnxModel(place: string): Promise<OnnxCheckpoint> {
  const file = await findOnnx(path.resolve(place))
  if (file === null)
    throw new PatchbayError('file.missing', `There is no ONNX file in ${quoted(place)}.`, {
      next: 'Choose an .onnx file, or the folder of one.',
      file: place,
    })
  for (const folder of companionFolders(file)) {
    const config = await readConfig(folder)
    if (config !== undefined) return openOnnx(file, config)
  }
  return openOnnx(file, undefined)
}

/** Folders that the configuration and tokenizer of an ONNX file may lie in: its own, else the one around a folder `onnx`. */
export function companionFolders(file: string): string[] {
  const folder = path.dirname(file)
  return path.basename(folder) === 'onnx' ? [folder, path.dirname(folder)] : [folder]
}
