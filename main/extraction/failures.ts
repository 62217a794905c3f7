/** Rows that failed while they were computed, kept beside the job so that another process that goes on knows of them. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import { rowFailure, type RowFailure } from '../../preload/datasets'
import { asPatchbayError } from '../../preload/errors'
import { writeWhole } from '../files/durable-file'

const failuresFile = z.strictObject({ version: z.literal(1), failures: z.array(rowFailure) })

export class Failures {
  readonly #rows = new Map<number, RowFailure>()
  #writing: Promise<void> = Promise.resolve()

  private constructor(private readonly file: string) {}

  /** Those that are known of already. @throws PatchbayError `file.unreadable` */
  static async open(folder: string): Promise<Failures> {
    const failures = new Failures(path.join(folder, 'failures.json'))
    for (const failure of await readKnown(failures.file)) failures.#rows.set(failure.row, failure)
    return failures
  }

  get all(): Iterable<RowFailure> {
    return this.#rows.values()
  }

  get size(): number {
    return this.#rows.size
  }

  /** Whether a row has no values and will have none; values that are not numbers are stored like others. */
  isWithoutValues(row: number): boolean {
    const failure = this.#rows.get(row)
    return failure !== undefined && failure.error.code !== 'run.failed'
  }

  /** Notes a row's first failure. */
  add(failure: RowFailure): void {
    if (this.#rows.has(failure.row)) return
    this.#rows.set(failure.row, failure)
    // One file is written after the other, and each holds all.
    this.#writing = this.#writing.then(() =>
      writeWhole(this.file, JSON.stringify({ version: 1, failures: [...this.#rows.values()] })),
    )
    this.#writing.catch(() => undefined) // `kept` tells of it
  }

  /** Resolves when all are on the disk. @throws PatchbayError `disk.full`, `disk.failed` */
  kept(): Promise<void> {
    return this.#writing
  }
}

async function readKnown(file: string): Promise<RowFailure[]> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    const problem = asPatchbayError(error)
    if (problem.code === 'file.missing') return []
    throw problem
  }
  // What can not be read was not written by us; values that are no numbers are still what is stored.
  const parsed = failuresFile.safeParse(jsonOrNull(text))
  return parsed.success ? parsed.data.failures : []
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
