import { describe, expect, it } from 'vitest'
import { decodeSafetensors, encodeSafetensors } from '../../main/models/formats/safetensors'
import { exportPreset, importPreset } from '../../main/steering/preset-file'
import { presetText } from '../../main/steering/preset-schema'
import { PresetStore } from '../../main/steering/preset-store'
import { decodeVectorFile } from '../../main/steering/vector-file'
import type { Preset } from '../../preload/preset'
import { examplePreset, presetFolders, vectorFile } from './presets'

const vectorsOf = (preset: Preset) =>
  new Map(preset.sites.map((site) => [site, decodeVectorFile(vectorFile.bytes, site)]))
const exported = (preset = examplePreset()): Uint8Array => exportPreset(preset, vectorsOf(preset)).bytes
const refusal = expect.objectContaining({ code: 'file.malformed' }) as Error

/** A file as exportPreset would have written it, but for these parts. */
const forged = (parts: { tensors?: Parameters<typeof encodeSafetensors>[0]; text?: string }): Uint8Array =>
  encodeSafetensors(
    parts.tensors ?? [{ name: 'sites.0.vector', shape: [4], data: Float32Array.of(3, 0, 4, 0) }],
    {
      'patchbay.preset': parts.text ?? presetText(examplePreset()),
    },
  )

describe('a preset as one file', () => {
  it('comes back as it was, with its vectors byte for byte', () => {
    const { preset, vectors } = importPreset(exported())
    expect(preset).toEqual(examplePreset())
    expect(vectors).toEqual([vectorFile.bytes])
  })

  it('comes back on another machine through the store', async () => {
    const there = new PresetStore(presetFolders())
    const { preset, vectors } = importPreset(exported())
    const entry = await there.create(preset, vectors)
    expect(entry.preset).toEqual(examplePreset())
    const [[, vector]] = await there.vectors(entry)
    expect([...vector.data]).toEqual([3, 0, 4, 0])
  })

  it('is a safetensors file with the preset in its metadata', () => {
    const { tensors, metadata } = decodeSafetensors(exported())
    expect([...tensors.keys()]).toEqual(['sites.0.vector'])
    expect(JSON.parse(metadata.get('patchbay.preset') ?? '')).toMatchObject({ id: 'kindness' })
    const preset = examplePreset()
    expect(exportPreset(preset, vectorsOf(preset)).name).toBe('kindness.preset.safetensors')
  })

  it('is named by the hash of what it really holds', () => {
    const lie = examplePreset()
    lie.sites[0].vector = {
      ...lie.sites[0].vector,
      sha256: 'e'.repeat(64),
      file: `${'e'.repeat(64)}.safetensors`,
    }
    expect(importPreset(forged({ text: presetText(lie) })).preset.sites[0].vector).toEqual(vectorFile.vector)
  })

  it('is refused where it is no preset, or its vectors are missing, of another kind, length or number', () => {
    expect(() => importPreset(new Uint8Array(0))).toThrow(refusal)
    expect(() => importPreset(vectorFile.bytes)).toThrow(refusal)
    expect(() => importPreset(forged({ text: '{}' }))).toThrow(refusal)
    const tensors = [
      [],
      [{ name: 'other', shape: [4], data: Float32Array.of(3, 0, 4, 0) }],
      [{ name: 'sites.0.vector', shape: [2, 2], data: Float32Array.of(3, 0, 4, 0) }],
      [{ name: 'sites.0.vector', shape: [4], data: Int32Array.of(3, 0, 4, 0) }],
      [{ name: 'sites.0.vector', shape: [4], data: Float32Array.of(3, 0, NaN, 0) }],
      [{ name: 'sites.0.vector', shape: [4], data: Float32Array.of(3, 0, 5, 0) }],
      ['sites.0.vector', 'sites.1.vector'].map((name) => ({
        name,
        shape: [4],
        data: Float32Array.of(3, 0, 4, 0),
      })),
    ]
    for (const some of tensors) expect(() => importPreset(forged({ tensors: some }))).toThrow(refusal)
  })

  it('is refused wherever it ends early', () => {
    const bytes = exported()
    for (let length = 0; length < bytes.length; length += 7)
      expect(() => importPreset(bytes.subarray(0, length))).toThrow(refusal)
  })
})
