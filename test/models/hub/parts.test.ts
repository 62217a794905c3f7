/** The small parts: progress, pauses, names. */
import fc from 'fast-check'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { RepoCache, repoOfFolder } from '../../../main/models/hub/cache/layout'
import { retryAfterMs } from '../../../main/models/hub/net/retry'
import { ProgressMeter } from '../../../main/models/hub/progress'
import { isRepoFile, isRepoId, isRevision, type DownloadProgress } from '../../../preload/hub'

describe('progress', () => {
  function meter(total: number) {
    const told: DownloadProgress[] = []
    const at = { ms: 0 }
    return {
      at,
      told,
      meter: new ProgressMeter(
        total,
        () => at.ms,
        (progress) => told.push(progress),
      ),
    }
  }

  it('tells rate and time left from what comes, not from what was there', () => {
    const { at, told, meter: m } = meter(10_000)
    m.found('a', 5_000)
    m.enter('downloading', 'a')
    expect(told.at(-1)).toEqual({
      phase: 'downloading',
      file: 'a',
      done: 5000,
      total: 10000,
      bytesPerSecond: null,
      etaSeconds: null,
    })
    for (let i = 1; i <= 10; i++) {
      m.received('a', 5_000 + 100 * i)
      at.ms += 100
    }
    m.enter('verifying', 'a')
    expect(told.at(-1)).toMatchObject({ done: 6_000, bytesPerSecond: 1_000, etaSeconds: 4 })
  })

  it('follows the rate of the last five seconds', () => {
    const { at, told, meter: m } = meter(1e9)
    m.enter('downloading', 'a')
    let held = 0
    for (const rate of [1000, 10]) {
      for (let i = 0; i < 100; i++) {
        m.received('a', (held += rate / 10))
        at.ms += 100
      }
      m.enter('verifying', String(rate))
      expect(told.at(-1)?.bytesPerSecond).toBeCloseTo(rate, 6)
    }
  })

  it('is told at most ten times a second, but every phase', () => {
    const { at, told, meter: m } = meter(1e6)
    m.enter('downloading', 'a')
    for (let i = 0; i < 1000; i++) {
      m.received('a', i)
      at.ms += 1
    }
    expect(told.length).toBeLessThanOrEqual(11)
    m.enter('finishing', null)
    expect(told.at(-1)?.phase).toBe('finishing')
  })

  it('goes back where something was thrown away', () => {
    const { at, told, meter: m } = meter(100)
    m.enter('downloading', 'a')
    m.received('a', 50)
    m.found('a', 0)
    at.ms += 200
    m.received('a', 10)
    expect(told.at(-1)?.done).toBe(10)
  })
})

describe('Retry-After', () => {
  const now = Date.parse('Fri, 31 Dec 1999 23:59:00 GMT')
  it.each([
    ['120', 120_000],
    ['0', 0],
    [' 7 ', 7_000],
    ['Fri, 31 Dec 1999 23:59:59 GMT', 59_000],
    ['Fri, 31 Dec 1999 23:00:00 GMT', 0],
    ['-5', null],
    ['1e9', null],
    ['soon', null],
    ['', null],
    [null, null],
    ['99999999999999999999', null],
  ])('%j is %j ms', (header, expected) => {
    expect(retryAfterMs(header, now)).toBe(expected)
  })
})

describe('names', () => {
  it('that are accepted never lead out of their folder, on any system', () => {
    const nasty = fc.array(
      fc.constantFrom(
        '..',
        '.',
        '/',
        '\\',
        'a',
        ':',
        '\0',
        ' ',
        'CON',
        'refs',
        '%2e',
        '\u202e',
        '~',
        '',
        '-',
        'é',
      ),
      { maxLength: 8 },
    )
    fc.assert(
      fc.property(nasty, (parts) => {
        const name = parts.join('')
        for (const system of [path.posix, path.win32]) {
          const root = system === path.win32 ? 'C:\\cache' : '/cache'
          if (isRepoFile(name) || isRevision(name)) {
            const full = system.resolve(root, ...name.split('/'))
            expect(full.startsWith(root + system.sep)).toBe(true)
            expect(full.length).toBe(root.length + 1 + name.length)
          }
          if (isRepoId(name)) expect(name).toMatch(/^[\w.-]+(\/[\w.-]+)?$/)
        }
      }),
      { numRuns: 3000, seed: 7 },
    )
  })

  it.each(['gpt2', 'owner/name', 'Foo-BAR_foo.bar123/x', 'a/b.c', '_x/y_'])(
    'of repositories may be %j',
    (id) => {
      expect(isRepoId(id)).toBe(true)
      expect(repoOfFolder(path.basename(new RepoCache('/cache', id).root))).toBe(id)
    },
  )

  it.each(['config.json', 'Q4_K_M/model-00001-of-00002.gguf', 'Modell für alle.gguf', '日本語.gguf'])(
    'of files may be %j',
    (name) => {
      expect(isRepoFile(name)).toBe(true)
    },
  )

  it.each(['main', 'v1.0', 'refs/pr/12', 'a'.repeat(40), 'feature/x-y_z', '1.0+cpu'])(
    'of revisions may be %j',
    (name) => {
      expect(isRevision(name)).toBe(true)
    },
  )
})
