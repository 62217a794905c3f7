import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { JobContext, JobKind, JobOutcome } from '../../main/jobs/kind'
import { JobKinds } from '../../main/jobs/kinds'
import { claim } from '../../main/jobs/lease'
import { LocalQueue } from '../../main/jobs/local-queue'
import type { JobRecord, JobState } from '../../preload/jobs'
import { JobStore } from '../../main/jobs/store'
import { PatchbayError } from '../../preload/errors'

let folder: string
let queue: LocalQueue

beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-jobs-'))
})
afterEach(async () => {
  await queue.close()
  rmSync(folder, { recursive: true, force: true })
})

type Count = { to: number }

/** Counts, one unit each turn of the event loop, and keeps how far it is in its folder. */
function counting(hook: (done: number, context: JobContext) => void = () => undefined): JobKind<Count> {
  return {
    name: 'count',
    input: z.object({ to: z.number().int().positive() }),
    title: ({ to }) => `Count to ${to}`,
    run: async ({ to }, context): Promise<JobOutcome> => {
      const file = path.join(context.folder, 'count')
      let done = Number(readOr(file, '0'))
      const from = done
      while (done < to) {
        await new Promise((resolve) => setImmediate(resolve))
        if (context.signal.aborted) throw new PatchbayError('run.cancelled', 'Cancelled.')
        if (context.pause.aborted) return { kind: 'paused' }
        done++
        await writeFile(file, String(done))
        context.report({ done, total: to, what: `at ${done}`, numbers: { half: done / 2 } })
        hook(done, context)
      }
      return { kind: 'done', result: { from, to } }
    },
  }
}

const readOr = (file: string, otherwise: string): string => {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return otherwise
  }
}

const open = async (kind = counting(), now?: () => number): Promise<LocalQueue> =>
  (queue = await LocalQueue.open(new JobStore(folder), new JobKinds().add(kind), { now }))

/** Waits until a job is in one of the states. */
function until(id: string, ...states: JobState[]): Promise<JobRecord> {
  return new Promise((resolve, reject) => {
    const check = (record: JobRecord): void => {
      if (record.id !== id || !states.includes(record.state)) return
      stop()
      resolve(record)
    }
    const stop = queue.onChange(check)
    queue.get(id).then(check, reject)
  })
}

describe('a local queue', () => {
  it('does jobs one after the other and keeps their results on disk', async () => {
    await open()
    const first = await queue.submit('count', { to: 3 })
    const second = await queue.submit('count', { to: 2 })
    expect((await until(second.id, 'done')).result).toEqual({ from: 0, to: 2 })
    const [a, b] = await Promise.all([first.id, second.id].map((id) => new JobStore(folder).read(id)))
    expect(a).toMatchObject({ state: 'done', title: 'Count to 3', result: { from: 0, to: 3 } })
    expect(Date.parse(a.updated)).toBeLessThanOrEqual(Date.parse(b.updated))
    expect((await queue.list()).map(({ state }) => state)).toEqual(['done', 'done'])
  })

  it('reports progress with an estimate of what is left', async () => {
    let time = Date.now()
    await open(counting(), () => (time += 1000))
    const seen: JobRecord['progress'][] = []
    queue.onChange(({ progress }) => seen.push(progress))
    const { id } = await queue.submit('count', { to: 4 })
    const { progress } = await until(id, 'done')
    expect(progress).toMatchObject({ done: 4, total: 4, what: 'at 4', numbers: { half: 2 }, eta: 0 })
    expect(seen.some((each) => each?.done === 2 && (each.eta ?? 0) > 0)).toBe(true)
  })

  it('refuses an unknown kind and an input that does not fit, naming the field', async () => {
    await open()
    await expect(queue.submit('dance', {})).rejects.toMatchObject({ code: 'input.invalid', field: 'kind' })
    await expect(queue.submit('count', { to: -1 })).rejects.toMatchObject({ field: 'to' })
    expect(await queue.list()).toEqual([])
  })

  it('pauses a running job and goes on from what it kept', async () => {
    await open(counting((done) => void (done === 3 && queue.pause(id))))
    const { id } = await queue.submit('count', { to: 6 })
    expect(await until(id, 'paused')).toMatchObject({ error: null, progress: { done: 3 } })
    await queue.resume(id)
    expect((await until(id, 'done')).result).toEqual({ from: 3, to: 6 })
  })

  it('cancels a running job, after which it can not be resumed', async () => {
    let asked: Promise<void> | undefined
    await open(counting((done) => void (done === 2 && (asked = queue.cancel(id)))))
    const { id } = await queue.submit('count', { to: 1000 })
    await until(id, 'cancelled')
    await asked
    await expect(queue.resume(id)).rejects.toMatchObject({ code: 'input.invalid' })
    await queue.remove(id)
    expect(await queue.list()).toEqual([])
  })

  it('goes on with a job whose process died, from its last checkpoint', async () => {
    await open()
    const { id } = await queue.submit('count', { to: 5 })
    await until(id, 'done')
    await queue.close()
    // As a killed process leaves it: running, claimed, half done.
    const store = new JobStore(folder)
    await store.write({ ...(await store.read(id)), state: 'running', result: null })
    const owner = { pid: 2 ** 30, host: os.hostname(), token: 'x' }
    writeFileSync(path.join(store.folderOf(id), 'owner.json'), JSON.stringify(owner))
    writeFileSync(path.join(store.folderOf(id), 'count'), '2')
    await open()
    expect((await until(id, 'done')).result).toEqual({ from: 2, to: 5 })
  })

  it('leaves a job alone that another living process works on', async () => {
    await open()
    const { id } = await queue.submit('count', { to: 1 })
    await until(id, 'done')
    await queue.close()
    const store = new JobStore(folder)
    await store.write({ ...(await store.read(id)), state: 'running', result: 'theirs' })
    const owner = { pid: process.pid, host: os.hostname(), token: 'x' }
    writeFileSync(path.join(store.folderOf(id), 'owner.json'), JSON.stringify(owner))
    await open()
    const other = await queue.submit('count', { to: 1 })
    await until(other.id, 'done')
    expect(await store.read(id)).toMatchObject({ state: 'running', result: 'theirs' })
  })

  it('goes on where it was when the queue is closed and opened again', async () => {
    let closed: Promise<void> | undefined
    await open(counting((done) => void (done === 2 && (closed = queue.close()))))
    const { id } = await queue.submit('count', { to: 4 })
    await until(id, 'queued')
    await until(id, 'running')
    await until(id, 'queued')
    await closed
    await open()
    expect((await until(id, 'done')).result).toEqual({ from: 2, to: 4 })
  })

  it('pauses with the reason said when the disk is full, and resumes', async () => {
    let full = true
    const full_ = new PatchbayError('disk.full', 'The disk filled up while the checkpoint was written.')
    await open(
      counting((done) => {
        if (done === 2 && full) throw full_
      }),
    )
    const { id } = await queue.submit('count', { to: 3 })
    const record = await until(id, 'paused', 'failed')
    expect(record).toMatchObject({ state: 'paused', error: { code: 'disk.full' } })
    full = false
    await queue.resume(id)
    expect((await until(id, 'done')).result).toEqual({ from: 2, to: 3 })
  })

  it('says why a job failed, and tries again when asked', async () => {
    let broken = true
    await open(
      counting(() => {
        if (broken) throw new PatchbayError('run.failed', 'The loss is NaN at step 1.')
      }),
    )
    const { id } = await queue.submit('count', { to: 2 })
    expect((await until(id, 'failed')).error?.message).toBe('The loss is NaN at step 1.')
    broken = false
    await queue.resume(id)
    await until(id, 'done')
  })

  it('goes on working where its records find no room, and says so', async () => {
    const refuse = Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
    const { promises } = await import('node:fs')
    let full = false
    const store = new JobStore(folder, {
      fs: { ...promises, open: async (...args) => (full ? Promise.reject(refuse) : promises.open(...args)) },
    })
    const kinds = new JobKinds().add(counting(() => void (full = true)))
    queue = await LocalQueue.open(store, kinds)
    const { id } = await queue.submit('count', { to: 2 })
    expect((await until(id, 'done')).result).toEqual({ from: 0, to: 2 })
    await queue.close()
    expect(queue.warning?.code).toBe('disk.full')
  })

  it('leaves what others queued alone unless told to go on, and goes on with one that is resumed', async () => {
    const store = new JobStore(folder)
    const kinds = new JobKinds().add(counting())
    const gone = await LocalQueue.open(store, new JobKinds().add(counting()))
    const { id } = await gone.submit('count', { to: 3 })
    await gone.close()
    queue = await LocalQueue.open(store, kinds, { goOn: false })
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect((await queue.get(id)).state).toBe('queued')
    const done = until(id, 'done')
    await queue.resume(id)
    expect((await done).state).toBe('done')
  })

  it('refuses to change a job that another process works on', async () => {
    const store = new JobStore(folder)
    queue = await LocalQueue.open(store, new JobKinds().add(counting()), { goOn: false })
    const gone = await LocalQueue.open(store, new JobKinds().add(counting()))
    const { id } = await gone.submit('count', { to: 3 })
    await gone.close()
    const lease = await claim(store.folderOf(id))
    for (const change of ['pause', 'resume', 'cancel', 'remove'] as const)
      await expect(queue[change](id)).rejects.toThrow(/Another process works on the job/)
    await lease?.release()
    await queue.cancel(id)
    expect((await queue.get(id)).state).toBe('cancelled')
  })
})

describe('jobs on disk', () => {
  it('lists what it can read and names what it can not', async () => {
    await open()
    const { id } = await queue.submit('count', { to: 1 })
    await until(id, 'done')
    const store = new JobStore(folder)
    const torn = JobStore.newId()
    await store.write({ ...(await store.read(id)), id: torn })
    writeFileSync(path.join(store.folderOf(torn), 'job.json'), '{"format":')
    const { jobs, unreadable } = await store.list()
    expect(jobs.map((job) => job.id)).toEqual([id])
    expect(unreadable).toMatchObject([{ id: torn, error: { code: 'file.malformed' } }])
  })

  it('takes no path for an id', () => {
    expect(() => new JobStore(folder).folderOf('../../etc')).toThrow(/not the id of a job/)
  })
})
