/** Presets for tests: valid ones to change, and folders that are gone afterwards. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { onTestFinished } from 'vitest'
import { presetText } from '../../main/steering/preset-schema'
import { encodeVectorFile } from '../../main/steering/vector-file'
import type { PresetFolders } from '../../main/steering/preset-store'
import type { Preset } from '../../preload/preset'

/** A vector of length 5, [4], in its file. */
export const vectorFile = encodeVectorFile(Float32Array.of(3, 0, 4, 0))

/** The contents of the files that its sites name. */
export const vectors = [vectorFile.bytes]

export const examplePreset = (changes: Partial<Preset> = {}): Preset => ({
  format: 'patchbay.preset',
  version: 1,
  id: 'kindness',
  name: 'Kindness',
  author: 'A. Reader',
  created: '2026-02-03T04:05:06Z',
  note: 'Makes it kinder.',
  model: {
    fingerprint: '5'.repeat(64),
    name: 'storyworld',
    family: 'llama',
    tokenizerHash: 'a'.repeat(64),
    templateHash: 'b'.repeat(64),
  },
  sites: [
    {
      hook: 'blocks.1.hook_resid_post',
      operation: 'add',
      target: 0,
      vector: vectorFile.vector,
      positions: 'all',
    },
  ],
  strength: { default: 1, minimum: -2, maximum: 2 },
  norm: { policy: 'as-is', residualNorm: 10 },
  prompting: { bos: 'model', template: 'none' },
  origin: { method: 'mean-difference', pairs: 3, pairsHash: 'c'.repeat(64), position: 'last' },
  example: null,
  ...changes,
})

/** Empty folders that are removed when the test is over. */
export function presetFolders(): PresetFolders {
  const root = mkdtempSync(path.join(tmpdir(), 'patchbay-presets-'))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  return { own: path.join(root, 'own', 'presets'), bundled: path.join(root, 'bundled') }
}

export const vectorPath = (folder: string): string => path.join(folder, 'vectors', vectorFile.vector.file)

/** Puts a preset, or any text, into a folder without the store. */
export function put(folder: string, file: string, content: Preset | string | Uint8Array): void {
  mkdirSync(path.join(folder, 'vectors'), { recursive: true })
  const plain = typeof content === 'string' || content instanceof Uint8Array
  writeFileSync(path.join(folder, file), plain ? content : presetText(content))
  writeFileSync(vectorPath(folder), vectorFile.bytes)
}
