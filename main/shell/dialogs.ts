/** The system's open and save dialogs. Only what a person chose in one of them is read or written for the page. */
import type { BrowserWindow, Dialog } from 'electron'
import { open } from 'node:fs/promises'
import path from 'node:path'
import { asPatchbayError, PatchbayError } from '../../preload/errors'
import {
  maxBesideBytes,
  type FileFilter,
  type PathKind,
  type ShellCallInput,
  type ShellCallOutput,
} from '../../preload/shell'
import { writeWhole } from '../files/durable-file'
import { safeFileName } from './file-name'

type Dialogs = Pick<Dialog, 'showOpenDialog' | 'showSaveDialog'>

const filter = (name: string, ...extensions: string[]): FileFilter => ({ name, extensions })

/** Title of the dialog; files of the first kind are shown first, a folder is asked for where no kind is given. */
const pathDialogs: Record<PathKind, { title: string; files?: FileFilter }> = {
  'model-file': {
    title: 'Open a model file',
    files: filter('Models', 'gguf', 'safetensors', 'onnx', 'json'),
  },
  'model-folder': { title: 'Open a model folder' },
  'reference-folder': { title: 'Choose the folder of a reference' },
  'data-file': {
    title: 'Choose a data set',
    files: filter(
      'Data sets',
      'jsonl',
      'ndjson',
      'json',
      'csv',
      'tsv',
      'parquet',
      'arrow',
      'txt',
      'text',
      'md',
    ),
  },
  'data-folder': { title: 'Choose the folder of a data set' },
  'tensor-file': {
    title: 'Choose a file of directions',
    files: filter('Tensors', 'safetensors', 'npy', 'npz'),
  },
  'dictionary-folder': { title: 'Choose the folder of a dictionary' },
  'export-folder': { title: 'Choose where the new folder is made' },
}

/** The path that the person chooses for something; null where the dialog is closed. */
export async function choosePath(
  dialogs: Dialogs,
  window: BrowserWindow,
  { kind }: ShellCallInput<'path.choose'>,
): Promise<string | null> {
  const { title, files } = pathDialogs[kind]
  const { canceled, filePaths } = await dialogs.showOpenDialog(window, {
    title,
    buttonLabel: kind.startsWith('model-') ? 'Open' : 'Choose',
    properties: files === undefined ? ['openDirectory', 'createDirectory'] : ['openFile'],
    filters: files === undefined ? [] : [files, filter('All files', '*')],
  })
  return canceled ? null : (filePaths[0] ?? null)
}

/** @throws PatchbayError `disk.full`, `disk.failed`, `file.unreadable`, `file.missing`, `input.invalid` as `writeBeside` */
export async function saveFile(
  dialogs: Dialogs,
  window: BrowserWindow,
  { suggestedName, bytes, filters, beside }: ShellCallInput<'file.save'>,
): Promise<ShellCallOutput<'file.save'>> {
  const { canceled, filePath } = await dialogs.showSaveDialog(window, {
    defaultPath: safeFileName(suggestedName),
    filters,
    properties: ['createDirectory', 'showOverwriteConfirmation'],
  })
  if (canceled || filePath === '') return null
  await writeWhole(filePath, bytes)
  if (beside !== undefined) await writeBeside(filePath, beside)
  return { path: filePath }
}

/**
 * Writes where a saved file's numbers come from into a file beside it, which the person did not choose.
 * @throws PatchbayError `input.invalid` where something else lies there, which stays as it is
 */
async function writeBeside(file: string, content: Uint8Array): Promise<void> {
  const beside = `${file}.provenance.json`
  if (!(await isOurs(beside)))
    throw new PatchbayError(
      'input.invalid',
      `${file} was saved, but not where its numbers come from: ${beside} is there already and not of Patchbay.`,
      { next: 'Save it under another name.', file: beside },
    )
  await writeWhole(beside, content)
}

/** Whether a file is absent, or a provenance that Patchbay wrote. */
async function isOurs(file: string): Promise<boolean> {
  try {
    const text = new TextDecoder().decode(await readAtMost(file, maxBesideBytes))
    return /^\{\s*"format": ?"patchbay\.provenance"/.test(text)
  } catch (error) {
    return error instanceof PatchbayError && error.code === 'file.missing'
  }
}

/** @throws PatchbayError `input.invalid` for a file larger than `maxBytes`, `file.unreadable`, `file.missing` */
export async function openFile(
  dialogs: Dialogs,
  window: BrowserWindow,
  { filters, maxBytes }: ShellCallInput<'file.open'>,
): Promise<ShellCallOutput<'file.open'>> {
  const { canceled, filePaths } = await dialogs.showOpenDialog(window, { properties: ['openFile'], filters })
  const file = filePaths[0]
  if (canceled || file === undefined) return null
  return { name: path.basename(file), bytes: await readAtMost(file, maxBytes) }
}

/** Reads an ordinary file, refusing before anything is allocated; a device or pipe could go on for ever. */
export async function readAtMost(file: string, maxBytes: number): Promise<Uint8Array> {
  try {
    const handle = await open(file, 'r')
    try {
      const stat = await handle.stat()
      if (!stat.isFile())
        throw new PatchbayError('file.unreadable', `${file} is not an ordinary file.`, { file })
      if (stat.size > maxBytes)
        throw new PatchbayError(
          'input.invalid',
          `${file} has ${stat.size} bytes; at most ${maxBytes} can be read here.`,
          {
            next: 'Choose the right file, or make it smaller.',
            file,
          },
        )
      return new Uint8Array(await handle.readFile())
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw asPatchbayError(error)
  }
}
