/** GGUF files as checkpoints: one file, or the parts into which llama.cpp's `gguf-split` cuts one. */
import path from 'node:path'
import { PatchbayError } from '../../../../preload/errors'
import type { Checkpoint, TensorEntry } from '../checkpoint'
import { malformed, quoted } from '../malformed'
import { PositionalFile } from '../positional-file'
import { TensorFiles } from '../tensor-files'
import { readGgufHeader, type GgufHeader } from './header'
import { ggufNumber, type GgufMetadata } from './values'

export * from './values'

/**
 * Opens a GGUF file. A part of a split model stands for the whole: its siblings are found by name.
 * @throws PatchbayError `file.*`, `model.unsupported`, `model.incomplete` where a part is missing
 */
export async function openGguf(file: string): Promise<Checkpoint> {
  const opened: PositionalFile[] = []
  const header = async (part: string): Promise<GgufHeader> => {
    const source = await openPart(part, file)
    opened.push(source)
    return readGgufHeader(source)
  }
  try {
    const first = await header(file)
    const parts = partNames(file, first.metadata)
    if (parts === undefined) return checkpointOf(opened, first.tensors, first.metadata, first.warnings)
    await Promise.all(opened.splice(0).map((source) => source.close()))
    const headers: GgufHeader[] = []
    for (const part of parts) headers.push(await header(part))
    return checkpointOf(
      opened,
      merge(headers, file),
      headers[0].metadata,
      headers.flatMap(({ warnings }) => warnings),
    )
  } catch (error) {
    await Promise.all(opened.map((source) => source.close()))
    throw error
  }
}

async function openPart(part: string, chosen: string): Promise<PositionalFile> {
  try {
    return await PositionalFile.open(part)
  } catch (cause) {
    if (part === chosen || !(cause instanceof PatchbayError) || cause.code !== 'file.missing') throw cause
    throw new PatchbayError(
      'model.incomplete',
      `${quoted(path.basename(part))}, a part of this model, is not there.`,
      {
        file: part,
        next: 'Put all parts into one folder and keep their names.',
        cause,
      },
    )
  }
}

/** The files of all parts in order, or undefined for a file that is whole. */
function partNames(file: string, metadata: GgufMetadata): string[] | undefined {
  const count = ggufNumber(metadata, 'split.count') ?? 1
  if (count <= 1) return undefined
  const [, stem, total] = /^(.*)-\d{5}-of-(\d{5})\.gguf$/.exec(path.basename(file)) ?? []
  if (stem === undefined || Number(total) !== count)
    throw malformed(file, `is one of ${count} parts, but its name does not say which`, {
      field: 'split.count',
      next: 'Give the parts back their names, which end in -00001-of-0000N.gguf.',
    })
  return Array.from({ length: count }, (_, i) =>
    path.join(path.dirname(file), `${stem}-${String(i + 1).padStart(5, '0')}-of-${total}.gguf`),
  )
}

function merge(headers: readonly GgufHeader[], file: string): ReadonlyMap<string, TensorEntry> {
  const tensors = new Map<string, TensorEntry>()
  for (const [i, header] of headers.entries()) {
    const part = ggufNumber(header.metadata, 'split.no')
    if (part !== i)
      throw malformed(
        file,
        `part ${i + 1} says that it is part ${part === undefined ? 'of nothing' : part + 1}`,
        { field: 'split.no' },
      )
    for (const [name, entry] of header.tensors) {
      if (tensors.has(name))
        throw malformed(entry.file, `tensor ${quoted(name)} is in two parts`, { field: name })
      tensors.set(name, entry)
    }
  }
  const promised = ggufNumber(headers[0].metadata, 'split.tensors.count')
  if (promised !== undefined && promised !== tensors.size)
    throw new PatchbayError(
      'model.incomplete',
      `The parts hold ${tensors.size} tensors, but ${promised} are promised.`,
      {
        file,
        field: 'split.tensors.count',
        next: 'Download the parts again: they do not belong together.',
      },
    )
  return tensors
}

function checkpointOf(
  sources: readonly PositionalFile[],
  tensors: ReadonlyMap<string, TensorEntry>,
  metadata: GgufMetadata,
  warnings: string[],
): Checkpoint {
  const files = new TensorFiles(sources, tensors)
  return {
    format: 'gguf',
    files: sources.map((source) => source.path),
    tensors,
    config: undefined,
    metadata,
    warnings,
    readFloat32: (name) => files.readFloat32(name),
    readRaw: (name, start, end) => files.readRaw(name, start, end),
    close: () => files.close(),
  }
}
