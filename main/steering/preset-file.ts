/**
 * A preset as one self-contained file for another machine: a safetensors file that holds the vectors, with the preset's
 * JSON in its metadata. Python reads it as it is: `safetensors.safe_open(file, 'np')`, `.metadata()['patchbay.preset']`.
 */
import type { Preset, PresetSite } from '../../preload/preset'
import type { Tensor } from '../../preload/tensor'
import { malformed, quoted } from '../models/formats/malformed'
import { decodeSafetensors, encodeSafetensors, float32Of } from '../models/formats/safetensors'
import { parsePreset, presetText } from './preset-schema'
import { encodeVectorFile } from './vector-file'

const METADATA_KEY = 'patchbay.preset'

/** A preset with the contents of the vector files that its sites name. */
export interface PresetWithVectors {
  preset: Preset
  vectors: Uint8Array[]
}

/** Name of the tensor of site i in an exported file. */
const tensorName = (site: number): string => `sites.${site}.vector`

/** @param vectors one vector [d_model] a site */
export function exportPreset(
  preset: Preset,
  vectors: ReadonlyMap<PresetSite, Tensor>,
): { name: string; bytes: Uint8Array<ArrayBuffer> } {
  const tensors = preset.sites.map((site, i) => {
    const vector = vectors.get(site)
    if (vector === undefined) throw malformed(preset.id, `site ${i} has no vector`)
    return { name: tensorName(i), shape: vector.shape, data: vector.data }
  })
  return {
    name: `${preset.id}.preset.safetensors`,
    bytes: encodeSafetensors(tensors, { [METADATA_KEY]: presetText(preset) }),
  }
}

/**
 * Reads an exported preset, and writes its vectors anew: what is stored is named by the hash of what was really in the file.
 * @throws PatchbayError `file.malformed` for anything that `exportPreset` would not have written
 */
export function importPreset(bytes: Uint8Array, label = 'preset file'): PresetWithVectors {
  const { tensors, metadata } = decodeSafetensors(bytes, label)
  const text = metadata.get(METADATA_KEY)
  if (text === undefined)
    throw malformed(label, 'is a safetensors file, but holds no Patchbay preset', {
      field: METADATA_KEY,
      next: 'Choose a file that Patchbay has exported.',
    })
  const preset = parsePreset(new TextEncoder().encode(text), label)
  if (tensors.size !== preset.sites.length)
    throw malformed(label, `holds ${tensors.size} vectors for ${preset.sites.length} sites`, {
      field: 'sites',
    })
  const files = preset.sites.map((site, i) => {
    const tensor = tensors.get(tensorName(i))
    const bad = (problem: string) =>
      malformed(label, `the tensor ${quoted(tensorName(i))} ${problem}`, { field: `sites.${i}.vector` })
    if (tensor === undefined) throw bad('is missing')
    if (tensor.storage !== 'F32' || tensor.shape.length !== 1) throw bad('is not a float32 vector')
    const file = encodeVectorFile(float32Of(tensor))
    if (!(Math.abs(file.vector.norm - site.vector.norm) <= 1e-4 * site.vector.norm))
      throw bad(`has the norm ${file.vector.norm}, where the preset says ${site.vector.norm}`)
    return file
  })
  return {
    preset: { ...preset, sites: preset.sites.map((site, i) => ({ ...site, vector: files[i].vector })) },
    vectors: files.map((file) => file.bytes),
  }
}
