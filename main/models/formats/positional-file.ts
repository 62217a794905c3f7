/**
 * A file that is read by position and never whole. Only regular files are opened: a pipe would block for ever and a
 * device has no size to hold lengths against.
 */
import { open, realpath, stat, type FileHandle } from 'node:fs/promises'
import { PatchbayError } from '../../../preload/errors'
import { malformed, quoted, readFailure } from './malformed'

/** Node reads less than 2 GiB at once. */
const largestRead = 1 << 30

export class PositionalFile {
  private constructor(
    /** Absolute, symbolic links resolved. */
    readonly path: string,
    /** Bytes, when it was opened. */
    readonly size: number,
    private readonly handle: FileHandle,
  ) {}

  /** @throws PatchbayError `file.missing`, `file.unreadable` */
  static async open(file: string): Promise<PositionalFile> {
    try {
      const resolved = await realpath(file)
      if (!(await stat(resolved)).isFile())
        throw new PatchbayError('file.unreadable', `${quoted(file)} is not a regular file.`, {
          next: 'Choose a file on a disk.',
          file,
        })
      const handle = await open(resolved, 'r')
      return new PositionalFile(resolved, (await handle.stat()).size, handle)
    } catch (cause) {
      throw readFailure(file, cause)
    }
  }

  /**
   * Fills `target` with the bytes from `offset` on.
   * @throws PatchbayError `file.malformed` where the file ends before, `file.unreadable` on I/O errors
   */
  async readInto(target: Uint8Array, offset: number): Promise<void> {
    let done = 0
    while (done < target.length) {
      let bytesRead: number
      try {
        ;({ bytesRead } = await this.handle.read(
          target,
          done,
          Math.min(target.length - done, largestRead),
          offset + done,
        ))
      } catch (cause) {
        throw readFailure(this.path, cause)
      }
      if (bytesRead === 0)
        throw malformed(this.path, `ends ${target.length - done} bytes too early`, { offset: offset + done })
      done += bytesRead
    }
  }

  /** `length` bytes from `offset` on, in memory of their own. Checks against the size before it allocates. */
  async read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    if (offset + length > this.size)
      throw malformed(
        this.path,
        `${length} bytes are promised where ${Math.max(0, this.size - offset)} are left`,
        {
          offset,
        },
      )
    const bytes = new Uint8Array(length)
    await this.readInto(bytes, offset)
    return bytes
  }

  async close(): Promise<void> {
    await this.handle.close()
  }
}
