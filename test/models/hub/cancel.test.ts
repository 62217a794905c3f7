/** Cancelling, full disks and several downloads at once: what stays is whole, or a part to go on with. */
import { spawnSync } from 'node:child_process'
import { mkdir, readFile, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import * as nodeFs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import type { WritableFs } from '../../../main/files/durable-file'
import { withLock } from '../../../main/models/hub/cache/lock'
import type { Clock } from '../../../main/models/hub/net/connection'
import { failingFs } from '../../files/failing-fs'
import { failureOf } from '../scratch'
import { breaksAfter, sha256 } from './fake-hub'
import { contentOf, incomplete, modelFiles, modelId, useHub, weights } from './use-hub'

const test = useHub()
const hash = sha256(weights)
const repo = () => path.join(test.cache, 'models--owner--tiny-model')
const partial = () => path.join(repo(), 'blobs', `${hash}.70617463.incomplete`)

/** Files and sockets that this process has open, by what they are. */
async function openHandles(): Promise<string[]> {
  if (process.platform !== 'linux') return []
  const numbers = await readdir('/proc/self/fd')
  const targets = await Promise.all(numbers.map((n) => nodeFs.readlink(`/proc/self/fd/${n}`).catch(() => '')))
  return targets.filter((target) => target.startsWith(test.cache))
}

describe('cancelling', () => {
  it('a hundred times leaves one partial file, no lock, no open file, and the download still ends well', async () => {
    test.server.add(modelId, modelFiles)
    const plan = await test.plan()
    let reached = 0
    for (let round = 0; round < 100; round++) {
      const controller = new AbortController()
      // The store sends a little more each time than is there already, then waits for ever.
      test.server.misbehave(/^\/store\//, (request, response) => {
        const from = Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? 0)
        response.writeHead(from === 0 ? 200 : 206, {
          'content-range': `bytes ${from}-${weights.length - 1}/${weights.length}`,
        })
        response.write(weights.subarray(from, from + 1000))
      })
      const cancelling = test.hub.download(plan, {
        signal: controller.signal,
        onProgress: ({ phase, file }) => {
          if (phase === 'downloading' && file === 'model.safetensors' && round % 2 === 0)
            setImmediate(() => controller.abort())
        },
      })
      if (round % 2 === 1) void hasBytes(partial(), reached).then(() => controller.abort())
      const error = await failureOf(() => cancelling)
      expect(error.code).toBe('run.cancelled')
      expect(error.next).toMatch(/goes on from there/)
      test.server.behave()
      const left = incomplete(await test.files())
      expect(left.length).toBeLessThanOrEqual(1)
      const part = left.length === 0 ? Buffer.alloc(0) : await readFile(partial())
      expect(part.length === 0 && left.length === 1).toBe(false)
      expect(part.equals(weights.subarray(0, part.length))).toBe(true)
      expect(part.length).toBeGreaterThanOrEqual(reached)
      reached = part.length
    }
    expect(reached).toBeGreaterThan(0)
    expect(await openHandles()).toEqual([])
    const { folder } = await test.hub.download(plan)
    expect(sha256(await contentOf(folder, 'model.safetensors'))).toBe(hash)
    expect(incomplete(await test.files())).toEqual([])
  })

  it('before the start asks for nothing', async () => {
    test.server.add(modelId, modelFiles)
    const plan = await test.plan()
    const asked = test.server.requests.length
    const error = await failureOf(() => test.hub.download(plan, { signal: AbortSignal.abort() }))
    expect(error.code).toBe('run.cancelled')
    expect(test.server.requests).toHaveLength(asked)
    expect(incomplete(await test.files())).toEqual([])
  })

  it('ends the waiting for a busy server', async () => {
    test.server.add(modelId, modelFiles)
    const plan = await test.plan()
    const controller = new AbortController()
    test.server.misbehave(/^\/store\//, (_, response) => void response.writeHead(503).end(), 100)
    const error = await failureOf(() =>
      test.hub.download(plan, {
        signal: controller.signal,
        onProgress: ({ phase }) => phase === 'waiting' && controller.abort(),
      }),
    )
    expect(error.code).toBe('run.cancelled')
    expect(test.pauses).toHaveLength(1)
  })

  it.each(['searchModels', 'planDownload'] as const)('ends %s while the server is silent', async (call) => {
    const controller = new AbortController()
    test.server.misbehave(/^\/api/, () => controller.abort(), 1)
    const error = await failureOf(() =>
      call === 'searchModels'
        ? test.hub.searchModels({ query: 'x' }, controller.signal)
        : test.hub.planDownload({ repoId: modelId }, controller.signal),
    )
    expect(error.code).toBe('run.cancelled')
  })
})

describe('a full disk', () => {
  it('is known before anything is fetched', async () => {
    test.server.add(modelId, modelFiles)
    const plan = await test.plan()
    const asked = test.server.requests.length
    const fs: WritableFs = { ...nodeFs, statfs: () => Promise.resolve({ bavail: 10, bsize: 4096 }) }
    const error = await failureOf(() => test.hub.download(plan, { fs }))
    expect(error.code).toBe('disk.full')
    expect(error.message).toMatch(/needs 0\.3 MB, but only 0\.0 MB are free/)
    expect(test.server.requests).toHaveLength(asked)
  })

  it('needs room only for what is missing', async () => {
    test.server.add(modelId, modelFiles)
    const plan = await test.plan()
    await mkdir(path.dirname(partial()), { recursive: true })
    await writeFile(partial(), weights.subarray(0, 290_000))
    const fs: WritableFs = { ...nodeFs, statfs: () => Promise.resolve({ bavail: 5, bsize: 4096 }) }
    await test.hub.download(plan, { fs })
  })

  it.each([
    ['ENOSPC', 'disk.full'],
    ['EDQUOT', 'disk.full'],
    ['EIO', 'disk.failed'],
    ['EROFS', 'disk.failed'],
  ])(
    'or one that fails with %s at the n-th operation leaves a true part, for every n',
    async (errno, code) => {
      test.server.add(modelId, modelFiles)
      const plan = await test.plan()
      for (let n = 1; ; n++) {
        await rm(test.cache, { recursive: true, force: true })
        const { fs } = failingFs(n, errno)
        let finished = false
        const outcome = await test.hub.download(plan, { fs }).then(
          () => (finished = true),
          (error: unknown) => error,
        )
        if (finished) break
        expect([n, (outcome as { code: string }).code]).toEqual([n, code])
        const names = await test.files()
        expect(names.filter((name) => name.endsWith('.lock'))).toEqual([])
        for (const name of incomplete(names)) {
          const part = await readFile(path.join(test.cache, name))
          if (name.includes(hash)) expect(part.equals(weights.subarray(0, part.length))).toBe(true)
        }
        const named = names.includes(`models--owner--tiny-model/blobs/${hash}`)
        if (named) expect(sha256(await readFile(path.join(repo(), 'blobs', hash)))).toBe(hash)
        expect(n).toBeLessThan(200)
      }
      expect(await openHandles()).toEqual([])
    },
  )
})

describe('several downloads at once', () => {
  it('of the same model fetch it once and all get it', async () => {
    test.server.add(modelId, modelFiles)
    const plan = await test.plan()
    test.server.misbehave(/^\/store\//, breaksAfter(test.server, 50_000), 1)
    const phases = new Set<string>()
    const results = await Promise.all(
      Array.from({ length: 8 }, () =>
        test.open().download(plan, { onProgress: ({ phase }) => void phases.add(phase) }),
      ),
    )
    expect(new Set(results.map(({ folder }) => folder)).size).toBe(1)
    expect(sha256(await contentOf(results[0].folder, 'model.safetensors'))).toBe(hash)
    expect(test.server.downloads().filter(({ path: at }) => at.startsWith('/store/'))).toHaveLength(2)
    expect(phases).toContain('waiting')
    expect(incomplete(await test.files())).toEqual([])
  })

  it('go on when the one that was first is cancelled', async () => {
    test.server.add(modelId, modelFiles)
    const plan = await test.plan()
    const first = new AbortController()
    test.server.misbehave(/^\/store\//, (_, response) => {
      response.writeHead(200)
      response.write(weights.subarray(0, 1000), () => first.abort())
    })
    const [cancelled, other] = await Promise.allSettled([
      test.hub.download(plan, { signal: first.signal }),
      test.open().download(plan),
    ])
    expect(cancelled.status).toBe('rejected')
    expect(other.status).toBe('fulfilled')
  })
})

describe('a lock', () => {
  const waits: string[] = []
  const clock: Clock = {
    now: () => 0,
    random: () => 0,
    async sleep() {
      waits.push('sleep')
      if (waits.length > 3) throw new Error('still locked')
    },
  }
  const attempt = async (): Promise<string> => {
    waits.length = 0
    return withLock(path.join(test.cache, 'x.lock'), { clock }, () => Promise.resolve('held'))
  }
  const leave = async (content: string, ageMs = 0): Promise<void> => {
    const file = path.join(test.cache, 'x.lock')
    await mkdir(test.cache, { recursive: true })
    await writeFile(file, content)
    const then = new Date(Date.now() - ageMs)
    await utimes(file, then, then)
  }

  it('of a process that died is taken over at once', async () => {
    const { pid } = spawnSync(process.execPath, ['-e', ''])
    await leave(JSON.stringify({ pid, host: os.hostname() }))
    expect(await attempt()).toBe('held')
    expect(waits).toEqual([])
  })

  it('of a process that lives is respected', async () => {
    await leave(JSON.stringify({ pid: process.ppid, host: os.hostname() }))
    await expect(attempt()).rejects.toThrow('still locked')
  })

  it('of another machine is respected until it is silent for minutes', async () => {
    await leave(JSON.stringify({ pid: 1, host: 'elsewhere' }))
    await expect(attempt()).rejects.toThrow('still locked')
    await leave(JSON.stringify({ pid: 1, host: 'elsewhere' }), 4 * 60_000)
    expect(await attempt()).toBe('held')
  })

  it.each(['', '{', 'null', '{"pid": -1}'])(
    'that says %j is respected until it is silent for minutes',
    async (content) => {
      await leave(content)
      await expect(attempt()).rejects.toThrow('still locked')
      await leave(content, 4 * 60_000)
      expect(await attempt()).toBe('held')
    },
  )

  it('is gone after its action failed', async () => {
    const file = path.join(test.cache, 'y.lock')
    await expect(withLock(file, { clock }, () => Promise.reject(new Error('failed')))).rejects.toThrow(
      'failed',
    )
    expect(await test.files()).toEqual([])
  })
})

/** Resolves when the file has come further than `reached`, or has stood still for a while. */
async function hasBytes(file: string, reached: number): Promise<void> {
  for (let tries = 0; tries < 50; tries++) {
    const size = await stat(file).then(
      (found) => found.size,
      () => 0,
    )
    if (size > reached) return
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}
