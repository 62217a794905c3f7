/** Where the reference cases are, and which there are. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

export const casesFolder = path.join(import.meta.dirname, '../reference/cases')

/** Checkpoints with references: one a family, and settings that the usual checkpoints do not have. */
export const caseFolders = ['architectures', 'variants'].flatMap((group) =>
  readdirSync(path.join(casesFolder, group))
    .map((name) => path.join(casesFolder, group, name))
    .filter((folder) => existsSync(path.join(folder, 'reference.json'))),
)

/** A configuration in one of its spellings. */
export const configOf = (
  folder: string,
  file: 'config.json' | 'config.transformers5.json' = 'config.json',
): Record<string, unknown> =>
  JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as Record<string, unknown>
