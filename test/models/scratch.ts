/** What tests of file readers share: a folder of their own, and the error that a call must fail with. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect } from 'vitest'
import { PatchbayError } from '../../preload/errors'

export interface Scratch {
  /** The folder; made anew for each test, removed after it. */
  folder: string
  /** Writes a file into the folder; returns its path. */
  write(name: string, content: string | Uint8Array): Promise<string>
}

export function useScratch(): Scratch {
  const scratch: Scratch = {
    folder: '',
    async write(name, content) {
      const file = path.join(scratch.folder, name)
      await writeFile(file, content)
      return file
    },
  }
  beforeEach(async () => {
    scratch.folder = await mkdtemp(path.join(os.tmpdir(), 'patchbay-models-'))
  })
  afterEach(() => rm(scratch.folder, { recursive: true, force: true }))
  return scratch
}

/** The PatchbayError with which `action` fails; any other outcome fails the test. */
export async function failureOf(action: () => unknown): Promise<PatchbayError> {
  try {
    await action()
  } catch (error) {
    expect(error).toBeInstanceOf(PatchbayError)
    return error as PatchbayError
  }
  throw new Error('expected a failure, but there was none')
}
