/**
 * A download that is not finished: a file that only grows. To begin anew it is replaced, never shortened, so that
 * whoever reads it sees a true beginning of the content or none of it.
 */
import * as nodeFs from 'node:fs/promises'
import path from 'node:path'
import { PatchbayError, asPatchbayError } from '../../../preload/errors'
import type { WritableFs, WritableHandle } from '../../files/durable-file'
import { syncFolder } from '../../files/durable-folder'
import { sizeOf } from './cache/layout'

/** What is used of the file system for writing; a parameter, so that its failures can be tested. */
export type PartialFs = Pick<WritableFs, 'open' | 'rename' | 'rm'>

export class PartialFile {
  private handle: WritableHandle | null = null
  private end = 0

  constructor(
    readonly path: string,
    private readonly fs: PartialFs = nodeFs,
  ) {}

  /** Bytes that are there; 0 for no file. */
  get size(): number {
    return this.end
  }

  /** Finds out what is there already. */
  async look(): Promise<number> {
    this.end = (await sizeOf(this.path)) ?? 0
    return this.end
  }

  /** Adds to its end; makes it where there is none. @throws PatchbayError `disk.full`, `disk.failed` */
  async append(bytes: Uint8Array): Promise<void> {
    await this.writing(async (handle) => {
      for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, this.end)
        done += bytesWritten
        this.end += bytesWritten
      }
    })
  }

  /** Brings all of it to the disk. @throws PatchbayError `disk.full`, `disk.failed` */
  async sync(): Promise<void> {
    await this.writing((handle) => handle.sync())
  }

  private async writing(action: (handle: WritableHandle) => Promise<void>): Promise<void> {
    try {
      this.handle ??= await this.fs.open(this.path, this.end === 0 ? 'w' : 'r+')
      await action(this.handle)
    } catch (cause) {
      throw writeFailure(this.path, cause)
    }
  }

  /** Throws away what is there. */
  async discard(): Promise<void> {
    await this.close()
    await this.fs.rm(this.path, { force: true })
    this.end = 0
  }

  /** Lets go of the file. Must be called, whatever happened. @throws PatchbayError */
  async close(): Promise<void> {
    const { handle } = this
    this.handle = null
    await handle?.close().catch((cause: unknown) => {
      throw writeFailure(this.path, cause)
    })
  }

  /** Gives the finished file its name, for good. @throws PatchbayError */
  async publish(target: string): Promise<void> {
    try {
      await this.fs.rename(this.path, target)
      await syncFolder(path.dirname(target), this.fs)
    } catch (cause) {
      throw writeFailure(target, cause)
    }
  }
}

function writeFailure(file: string, cause: unknown): PatchbayError {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  if (cause instanceof PatchbayError || typeof code !== 'string') return asPatchbayError(cause)
  const isFull = code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG'
  const problem = isFull ? 'The disk is full' : `The disk refused the download (${code})`
  return new PatchbayError(isFull ? 'disk.full' : 'disk.failed', `${problem}: ${path.dirname(file)}.`, {
    next: 'What was downloaded is kept. Free some space or choose another folder (HF_HUB_CACHE), and start it again.',
    file,
    cause,
  })
}
