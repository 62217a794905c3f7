/** Small stores and what is put into them. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { onTestFinished } from 'vitest'
import { rowKey, type RowRequest } from '../../../main/cache/row-request'
import { realFs, type StoreFs } from '../../../main/cache/store/store-fs'
import { ActivationStore, type StoreOptions } from '../../../main/cache/store/store'
import type { Dtype, PutItem } from '../../../main/cache/store/store'

export const model = 'ab'.repeat(32)

export const row = (...tokens: number[]): RowRequest => ({
  version: 1,
  model,
  precision: 'float32',
  provider: 'cpu',
  tokens,
  interventions: [],
})

/** A folder that is gone after the test. */
export function scratch(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-store-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** The real file system without waiting for the disk: these tests are about what is written, not about power cuts. */
export const unsynced: StoreFs = {
  ...realFs,
  open: async (file, flags) => {
    const handle = await realFs.open(file, flags)
    return {
      write: (...args) => handle.write(...args),
      sync: () => Promise.resolve(),
      close: () => handle.close(),
    }
  },
}

export async function openStore(
  root = scratch(),
  options: Partial<StoreOptions> = {},
): Promise<ActivationStore> {
  const store = await ActivationStore.open(root, { producer: 'test', fs: unsynced, ...options })
  onTestFinished(() => store.close())
  return store
}

/** Numbers that differ everywhere and depend on `seed`. */
export const values = (seed: number, length: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => Math.sin(seed * 1000 + i * 0.37) * (1 + (i % 7)))

export function item(
  request: RowRequest,
  output: string,
  {
    shape = [request.tokens.length, 8],
    dtype = 'float32',
    seed = request.tokens[0],
  }: { shape?: number[]; dtype?: Dtype; seed?: number } = {},
): PutItem {
  const data = values(
    seed,
    shape.reduce((product, n) => product * n, 1),
  )
  return { row: rowKey(request), request, output, dtype, shape, data }
}

export const idOf = ({ row: key, output, dtype }: PutItem) => ({ row: key, output, dtype })

/** The shards of a store, and what else lies beside them. */
export const shardFiles = (root: string): string[] => {
  const folder = path.join(root, 'shards')
  return existsSync(folder) ? readdirSync(folder).map((name) => path.join(folder, name)) : []
}
