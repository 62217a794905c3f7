import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { families, ggufFamilies } from '../../../main/models/architectures/registry'

const folder = path.join(import.meta.dirname, '../../../main/models/architectures')
/** Names of the constants in a folder's files that are declared as families of a kind. */
const declared = (where: string, kind: string): string[] =>
  readdirSync(path.join(folder, where))
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => {
      const text = readFileSync(path.join(folder, where, file), 'utf8')
      return [...text.matchAll(new RegExp(`export const (\\w+): ${kind}\\b`, 'g'))].map(([, name]) => name)
    })

describe('the registry of families', () => {
  it('holds every family that a file exports, each once', () => {
    expect(families.length).toBeGreaterThanOrEqual(29)
    expect(families).toHaveLength(declared('.', 'Family').length)
    expect(ggufFamilies).toHaveLength(declared('gguf', 'GgufFamily').length)
    for (const names of [
      families.map(({ name }) => name),
      families.flatMap(({ modelTypes }) => modelTypes),
      ggufFamilies.flatMap(({ architectures }) => architectures),
    ])
      expect(names).toEqual([...new Set(names)])
  })
})
