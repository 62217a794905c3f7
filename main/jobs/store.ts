/** Jobs on disk: a folder each, with `job.json` and whatever the work keeps there. */
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { asPatchbayError, PatchbayError } from '../../preload/errors'
import { writeWhole, type DurableOptions } from '../files/durable-file'
import { jobId, jobRecord, type JobRecord } from '../../preload/jobs'

const recordFile = 'job.json'

/** A job folder that can not be read; it is left as it is. */
export interface UnreadableJob {
  readonly id: string
  readonly error: PatchbayError
}

export class JobStore {
  /**
   * @param folder holds one folder a job
   * @param options the file system, for tests
   */
  constructor(
    readonly folder: string,
    private readonly options: Pick<DurableOptions, 'fs'> = {},
  ) {}

  /** A new id: the time, so that folders sort by it, and something random. */
  static newId(now = new Date()): string {
    const [date, time] = now.toISOString().replace(/[-:]/g, '').split('T')
    return `${date}-${time.slice(0, 6)}-${randomBytes(4).toString('hex')}`
  }

  /** @throws PatchbayError `input.invalid` for what is no id, so that no path leaves the folder */
  folderOf(id: string): string {
    if (!jobId.safeParse(id).success)
      throw new PatchbayError('input.invalid', `${JSON.stringify(id)} is not the id of a job.`, {
        field: 'id',
        next: 'Take one from the list of jobs.',
      })
    return path.join(this.folder, id)
  }

  /** @throws PatchbayError `disk.full`, `disk.failed` */
  async write(record: JobRecord): Promise<void> {
    const text = `${JSON.stringify(record, null, 1)}\n`
    await writeWhole(path.join(this.folderOf(record.id), recordFile), text, this.options)
  }

  /** @throws PatchbayError `file.missing`, `file.malformed`, `input.invalid` */
  async read(id: string): Promise<JobRecord> {
    const file = path.join(this.folderOf(id), recordFile)
    let text: string
    try {
      text = await readFile(file, 'utf8')
    } catch (error) {
      throw asPatchbayError(error)
    }
    const parsed = jobRecord.safeParse(parseJson(text))
    if (parsed.success && parsed.data.id === id) return parsed.data
    throw new PatchbayError('file.malformed', `The record of job ${id} is not one of Patchbay’s.`, {
      file,
      next: 'Its folder was left as it is; remove it if it is of no use.',
    })
  }

  /** All jobs, newest first, and the folders that hold none that can be read. */
  async list(): Promise<{ jobs: JobRecord[]; unreadable: UnreadableJob[] }> {
    await mkdir(this.folder, { recursive: true })
    const names = (await readdir(this.folder)).filter((name) => jobId.safeParse(name).success).sort()
    const jobs: JobRecord[] = []
    const unreadable: UnreadableJob[] = []
    for (const id of names.reverse())
      try {
        jobs.push(await this.read(id))
      } catch (error) {
        unreadable.push({ id, error: asPatchbayError(error) })
      }
    return { jobs, unreadable }
  }

  /** Removes a job with all that it kept. */
  async remove(id: string): Promise<void> {
    await rm(this.folderOf(id), { recursive: true, force: true })
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // fails the schema, which is what the caller reports
  }
}
