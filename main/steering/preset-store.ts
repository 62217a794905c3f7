/**
 * Presets on disk: one JSON file a preset, its name the preset's id, and vectors beside it, named by their hash. Files are
 * written whole or not at all; one that can not be read is listed as broken and hides no other. Bundled presets are read
 * from the app's own folder and never changed.
 */
import { randomBytes } from 'node:crypto'
import * as nodeFs from 'node:fs/promises'
import path from 'node:path'
import type { BrokenPreset, PresetEntry } from '../../preload/api'
import { asPatchbayError, PatchbayError, toWire } from '../../preload/errors'
import type { Preset, PresetSite } from '../../preload/preset'
import type { Tensor } from '../../preload/tensor'
import { writeWhole } from '../files/durable-file'
import { malformed, quoted } from '../models/formats/malformed'
import { editedPreset } from './preset-edit'
import { exists, namesIn, readBounded, type PresetFs } from './preset-fs'
import { maxPresetBytes, parsePreset, presetText } from './preset-schema'
import { decodeVectorFile, sha256, vectorFileName } from './vector-file'

export interface PresetFolders {
  /** The person's own presets; made when the first one is saved. */
  own: string
  /** Those that came with the app. */
  bundled: string
}

export interface PresetList {
  presets: PresetEntry[]
  /** Files that are no presets, with what is wrong with them. */
  broken: BrokenPreset[]
}

const maxVectorBytes = 256 * 2 ** 20
const extension = '.json'

export class PresetStore {
  private changing: Promise<unknown> = Promise.resolve()

  constructor(
    private readonly folders: PresetFolders,
    private readonly fs: PresetFs = nodeFs,
  ) {}

  /** All presets, bundled ones first, each group by name. */
  async list(): Promise<PresetList> {
    const bundled = await this.readFolder(true, new Set())
    const own = await this.readFolder(false, new Set(bundled.presets.map((entry) => entry.preset.id)))
    return { presets: [...bundled.presets, ...own.presets], broken: [...bundled.broken, ...own.broken] }
  }

  /** @throws PatchbayError `input.invalid` for an id that no preset has, `file.malformed` for a broken file */
  async get(id: string): Promise<PresetEntry> {
    checkId(id)
    const entry =
      (await this.readEntry(id + extension, true)) ?? (await this.readEntry(id + extension, false))
    if (entry === null) throw unknownPreset(id)
    return entry
  }

  /**
   * Saves a new preset. It keeps its id where that is free, and otherwise gets a random ending: another process may be
   * saving under the same name.
   * @param vectors contents of the files that its sites name
   * @throws PatchbayError `disk.full`, `disk.failed`; what was stored before stays
   */
  create(preset: Preset, vectors: Iterable<Uint8Array>): Promise<PresetEntry> {
    return this.oneAtATime(async () => {
      // Vectors first: a preset that is there has its vectors.
      for (const bytes of vectors)
        await this.writeFile(path.join(this.vectorsFolder(false), vectorFileName(sha256(bytes))), bytes)
      const taken = await Promise.all([true, false].map((b) => exists(this.fs, this.fileOf(preset.id, b))))
      return this.write(taken.includes(true) ? { ...preset, id: freshId(preset.id) } : preset)
    })
  }

  /**
   * Saves changes to an own preset: name, author, note, example, strength range, norm policy, prompting, and its sites'
   * positions and operations. What was measured (model, vectors, origin) stays as it was made.
   * @throws PatchbayError `input.invalid` for a bundled preset, an id that is not there, or another change
   */
  save(preset: Preset): Promise<PresetEntry> {
    return this.oneAtATime(async () => {
      const stored = await this.get(preset.id)
      if (stored.bundled) throw bundledPreset(preset.id, 'changed')
      return this.write(editedPreset(stored.preset, preset))
    })
  }

  /**
   * Deletes an own preset, a broken one too. Its vectors stay: they are small, and another preset, or another process that
   * is saving one, may name them.
   * @throws PatchbayError `input.invalid` for a bundled preset, or an id that is not there
   */
  async delete(id: string): Promise<void> {
    checkId(id)
    await this.oneAtATime(async () => {
      if (await exists(this.fs, this.fileOf(id, true))) throw bundledPreset(id, 'deleted')
      const file = this.fileOf(id, false)
      if (!(await exists(this.fs, file))) throw unknownPreset(id)
      try {
        await this.fs.rm(file, { force: true })
      } catch (error) {
        throw asPatchbayError(error)
      }
    })
  }

  /**
   * The vectors of a preset, after their files' hashes were checked: site by site, [d_model].
   * @throws PatchbayError `file.missing`, `file.malformed` where a file is not the one that the preset names
   */
  async vectors(entry: PresetEntry): Promise<Map<PresetSite, Tensor>> {
    const vectors = new Map<PresetSite, Tensor>()
    for (const site of entry.preset.sites)
      vectors.set(site, decodeVectorFile(await this.vectorBytes(site, entry.bundled), site))
    return vectors
  }

  private async vectorBytes({ vector }: PresetSite, bundled: boolean): Promise<Uint8Array> {
    if (vector.file !== vectorFileName(vector.sha256))
      throw malformed(vector.file, 'has another name than its hash', { field: 'sites.vector.file' })
    const file = path.join(this.vectorsFolder(bundled), vector.file)
    const bytes = await readBounded(this.fs, file, maxVectorBytes)
    if (bytes === null)
      throw new PatchbayError('file.missing', `The vector file ${vector.file} is not there.`, {
        file,
        next: 'Import the preset again, or delete it.',
      })
    if (sha256(bytes) !== vector.sha256)
      throw malformed(file, 'its content does not have the hash that the preset names', {
        field: 'sites.vector.sha256',
        next: 'The file is damaged: import the preset again, or delete it.',
      })
    return bytes
  }

  private async write(preset: Preset): Promise<PresetEntry> {
    const bytes = new TextEncoder().encode(presetText(preset))
    await this.writeFile(this.fileOf(preset.id, false), bytes)
    return { preset, bundled: false, sha256: sha256(bytes) }
  }

  private writeFile(file: string, bytes: Uint8Array): Promise<void> {
    return writeWhole(file, bytes, { fs: this.fs })
  }

  private async readFolder(bundled: boolean, taken: ReadonlySet<string>): Promise<PresetList> {
    const presets: PresetEntry[] = []
    const broken: BrokenPreset[] = []
    for (const name of await namesIn(this.fs, this.folderOf(bundled))) {
      if (!name.endsWith(extension) || name.startsWith('.')) continue
      try {
        const entry = await this.readEntry(name, bundled)
        if (entry === null) continue // deleted since the folder was read
        if (taken.has(entry.preset.id))
          throw malformed(name, `has the id ${entry.preset.id}, which a bundled preset has`, {
            field: 'id',
            next: 'Give it another id and file name, or delete it.',
          })
        presets.push(entry)
      } catch (error) {
        broken.push({ file: name, error: toWire(asPatchbayError(error)) })
      }
    }
    presets.sort((a, b) => compareText(a.preset.name, b.preset.name) || compareText(a.preset.id, b.preset.id))
    return { presets, broken }
  }

  private async readEntry(name: string, bundled: boolean): Promise<PresetEntry | null> {
    const file = path.join(this.folderOf(bundled), name)
    const bytes = await readBounded(this.fs, file, maxPresetBytes)
    if (bytes === null) return null
    const preset = parsePreset(bytes, file)
    if (name !== preset.id + extension)
      throw malformed(file, `the id ${quoted(preset.id)} does not belong to this file name`, {
        field: 'id',
        next: `Name the file ${preset.id}${extension}, or change the id.`,
      })
    return { preset, bundled, sha256: sha256(bytes) }
  }

  private folderOf(bundled: boolean): string {
    return bundled ? this.folders.bundled : this.folders.own
  }

  private vectorsFolder(bundled: boolean): string {
    return path.join(this.folderOf(bundled), 'vectors')
  }

  private fileOf(id: string, bundled: boolean): string {
    return path.join(this.folderOf(bundled), id + extension)
  }

  /** Changes of this process follow one another, so that an id that is free stays free until it is taken. */
  private oneAtATime<T>(change: () => Promise<T>): Promise<T> {
    const result = this.changing.then(change)
    this.changing = result.catch(() => undefined) // its own caller sees the failure; the next change starts afresh
    return result
  }
}

/** The beginning of an id, from a name in any script. */
export const idFromName = (name: string): string =>
  name
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '') // accents, now apart from their letters
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 60) || 'preset'

const freshId = (id: string): string => `${id.slice(0, 70)}-${randomBytes(4).toString('hex')}`

/** Ids come over the wire and become file names. */
function checkId(id: string): void {
  if (!/^[a-z0-9][a-z0-9-]{0,79}$/.test(id)) throw unknownPreset(id)
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const unknownPreset = (id: string): PatchbayError =>
  new PatchbayError('input.invalid', `There is no preset ${quoted(id)}.`, {
    field: 'preset',
    next: 'Choose one of the presets that are listed.',
  })

const bundledPreset = (id: string, done: string): PatchbayError =>
  new PatchbayError('input.invalid', `The preset ${id} came with Patchbay and can not be ${done}.`, {
    field: 'preset',
    next: 'Make a copy of it: export it and import the file.',
  })
