/** A folder for a test's data files, and what is read from them. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import { readRows, type SourceFailure, type SourceRow } from '../../main/datasets'
import type { DatasetFormat } from '../../preload/datasets'

export interface DataFolder {
  readonly path: string
  /** Writes a file, with the folders that it needs. @returns its path */
  write(name: string, content: string | Uint8Array): string
  /** All rows and failures in order; failures as their sentence and place. */
  read(file: string, format?: DatasetFormat): Promise<unknown[]>
  /** The cells of all rows; the first that can not be read throws. */
  cells(file: string, format?: DatasetFormat): Promise<SourceRow['cells'][]>
}

export function useFolder(): DataFolder {
  let folder = ''
  beforeAll(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-datasets-'))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  return {
    get path() {
      return folder
    },
    write(name, content) {
      const file = path.join(folder, name)
      mkdirSync(path.dirname(file), { recursive: true })
      writeFileSync(file, content)
      return file
    },
    async read(file, format) {
      const found: unknown[] = []
      const onFailure = ({ row, error }: SourceFailure): void =>
        void found.push({ row, code: error.code, message: error.message, field: error.field })
      for await (const row of readRows({ kind: 'file', path: file, format }, { onFailure })) found.push(row)
      return found
    },
    async cells(file, format) {
      const found: SourceRow['cells'][] = []
      for await (const { cells } of readRows({ kind: 'file', path: file, format })) found.push(cells)
      return found
    },
  }
}

/** Everything that comes. */
export async function all<T>(from: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const each of from) found.push(each)
  return found
}

/** How many come, none of which is kept. */
export async function count(from: AsyncIterable<unknown>): Promise<number> {
  const each = from[Symbol.asyncIterator]()
  let found = 0
  while ((await each.next()).done !== true) found++
  return found
}
