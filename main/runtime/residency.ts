/** Which parts of a model stay compiled under a memory budget, and the reading ahead of those that do not. */
import { open } from 'node:fs/promises'
import path from 'node:path'
import type { Part } from './forecast'

/**
 * The parts that stay: all where they fit, else the smallest (so that most of the compiling is saved), beside which the
 * largest of the others must find room.
 * @param available bytes for all sessions
 */
export function staying(parts: readonly Part[], available: number): ReadonlySet<Part['part']> {
  const stay = [...parts].sort((a, b) => a.bytes - b.bytes)
  let taken = stay.reduce((sum, { bytes }) => sum + bytes, 0)
  let largest = 0
  while (stay.length > 0 && taken + largest > available) {
    const { bytes } = stay[stay.length - 1]
    stay.pop()
    taken -= bytes
    largest = Math.max(largest, bytes)
  }
  return new Set(stay.map(({ part }) => part))
}

/** Where numbers lie in a file of the weights' folder. */
export interface FileRange {
  readonly file: string
  readonly offset: number
  readonly length: number
}

const CHUNK = 2 ** 20

/**
 * Reads files ahead, so that the system has them in memory when a session maps them: the reading goes on in other
 * threads while a block computes, which keeps this one busy. What is read is not kept.
 */
export class ReadAhead {
  readonly #folder: string
  #under: Promise<void> = Promise.resolve()
  readonly #nowhere = new Uint8Array(CHUNK)

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Starts reading; a failure shows when the session is made. */
  start(ranges: readonly FileRange[]): void {
    this.#under = this.#under.then(() => this.#read(ranges)).catch(() => undefined)
  }

  /** Waits for what was started. */
  done(): Promise<void> {
    return this.#under
  }

  async #read(ranges: readonly FileRange[]): Promise<void> {
    for (const file of new Set(ranges.map((range) => range.file))) {
      const handle = await open(path.join(this.#folder, file))
      try {
        const chunks = ranges.filter((range) => range.file === file).flatMap(chunksOf)
        await Promise.all(chunks.map(([at, length]) => handle.read(this.#nowhere, 0, length, at)))
      } finally {
        await handle.close()
      }
    }
  }
}

const chunksOf = ({ offset, length }: FileRange): [number, number][] =>
  Array.from({ length: Math.ceil(length / CHUNK) }, (_, i) => [
    offset + i * CHUNK,
    Math.min(CHUNK, length - i * CHUNK),
  ])
