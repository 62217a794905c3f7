/**
 * The files beside an ONNX file that its weights lie in. The names come out of the file, so each is checked before
 * anything is mapped: it must name a regular file in the model's own folder, under no second name, and long enough.
 */
import { lstat, realpath, stat } from 'node:fs/promises'
import path from 'node:path'
import { PatchbayError } from '../../../../preload/errors'
import type { Storage } from '../../../onnx/graph'
import type { StoredTensor } from '../../../onnx/exported/model'
import { malformed, quoted, readFailure } from '../malformed'

export interface OpenedPath {
  /** As it was given, absolute. */
  readonly given: string
  /** Symbolic links resolved. */
  readonly real: string
}

export interface ExternalFile {
  /** Absolute. */
  readonly path: string
  /** Relative to the real folder of the model, as a session is told. */
  readonly name: string
  readonly size: number
}

/**
 * Checks the place of every tensor that lies outside of the model.
 * @param own name by which the model's own file is referred to; places in it are checked by who made them
 * @returns by the location that the model states
 * @throws PatchbayError `file.outside`, `file.unreadable`, `file.malformed`, `model.incomplete`, naming file and tensor
 */
export async function checkExternalData(
  model: OpenedPath,
  tensors: Iterable<StoredTensor>,
  own: string,
): Promise<ReadonlyMap<string, ExternalFile>> {
  const files = new Map<string, ExternalFile>()
  for (const { name, storage } of tensors) {
    if (storage.kind !== 'external' || storage.file === own) continue
    const file = files.get(storage.file) ?? (await locate(model, storage.file, name))
    files.set(storage.file, file)
    checkRange(file, storage, name)
  }
  return files
}

function checkRange(
  file: ExternalFile,
  { offset, length }: Extract<Storage, { kind: 'external' }>,
  tensor: string,
): void {
  if (offset + length > file.size)
    throw malformed(
      file.path,
      `the tensor ${quoted(tensor)} is said to end at byte ${offset + length}, but the file has ${file.size}`,
      { field: tensor, offset },
    )
}

async function locate(model: OpenedPath, location: string, tensor: string): Promise<ExternalFile> {
  const outside = (why: string): PatchbayError =>
    new PatchbayError(
      'file.outside',
      `${path.basename(model.given)}: the tensor ${quoted(tensor)} lies in ${quoted(location)}, ${why}.`,
      {
        next: 'Weights must lie in the folder of the model, in files of their own. Do not open this model if you do not trust where it comes from.',
        file: model.given,
        field: tensor,
      },
    )
  const parts = location.split(/[\\/]/)
  if (path.posix.isAbsolute(location) || path.win32.isAbsolute(location) || /^[A-Za-z]:/.test(location))
    throw outside('an absolute path')
  if (parts.includes('..') || location.includes('\0')) throw outside('which leaves its folder')

  const folder = path.dirname(model.real)
  const found = (await placeIn(folder, parts)) ?? (await placeIn(path.dirname(model.given), parts))
  if (found === null)
    throw new PatchbayError(
      'model.incomplete',
      `${path.basename(model.given)}: its weights lie in ${quoted(location)}, which is not there.`,
      {
        next: 'Download the model again, with all its files, into one folder.',
        file: model.given,
        field: tensor,
      },
    )
  // The hub's cache holds links into one folder of files; a model opened by its link has its data there too.
  const besideModel = path.dirname(found.real) === folder
  if (found.linked && !(model.given !== model.real && besideModel)) throw outside('which is a symbolic link')
  if (!found.real.startsWith(folder + path.sep)) throw outside('which is not in the folder of the model')
  const { size, nlink, isFile } = await describe(found.real)
  if (!isFile)
    throw new PatchbayError('file.unreadable', `${quoted(found.real)} is not a regular file.`, {
      next: 'Weights must lie in ordinary files.',
      file: found.real,
      field: tensor,
    })
  if (nlink > 1) throw outside('a file that has a second name elsewhere (a hard link)')
  return { path: found.real, name: path.relative(folder, found.real).split(path.sep).join('/'), size }
}

/** Where the named file is, and whether a link leads there; null where there is none. */
async function placeIn(
  folder: string,
  parts: readonly string[],
): Promise<{ real: string; linked: boolean } | null> {
  const base = await realpath(folder)
  const wanted = path.join(base, ...parts)
  try {
    await lstat(wanted)
    const real = await realpath(wanted)
    return { real, linked: real !== wanted }
  } catch (cause) {
    const failure = readFailure(wanted, cause)
    if (failure.code === 'file.missing') return null
    throw failure
  }
}

async function describe(file: string): Promise<{ size: number; nlink: number; isFile: boolean }> {
  try {
    const found = await stat(file)
    return { size: found.size, nlink: found.nlink, isFile: found.isFile() }
  } catch (cause) {
    throw readFailure(file, cause)
  }
}
