import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { electronMirror, reachable } from '../../main/launch/network.mjs'
import { cachedFallback, fallback, fallbackFits } from '../../main/launch/runtime-fallback.mjs'
import { officialInCache, officialRuntime, type Runtime } from '../../main/launch/runtime-official.mjs'
import { ensureRuntime, presentRuntime } from '../../main/launch/runtime.mjs'

let folder: string
const write = (file: string, text = ''): void => {
  mkdirSync(path.dirname(path.join(folder, file)), { recursive: true })
  writeFileSync(path.join(folder, file), text)
}
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-test-'))
})
afterEach(() => {
  vi.restoreAllMocks()
  rmSync(folder, { recursive: true })
})

const official: Runtime = { kind: 'official', folder: '/o', executable: '/o/electron', version: '45.4.1' }
const fromNpm: Runtime = { kind: 'fallback', folder: '/f', executable: '/f/electron', version: '33.2.1' }

/** The outside world of the choice, and what was done to it. */
function world(there: {
  official?: boolean
  cached?: boolean
  network?: boolean
  installs?: boolean
  linux?: boolean
  zip?: boolean
}) {
  const done: string[] = []
  const how = {
    reachable: async () => {
      done.push('probe')
      return there.network ?? false
    },
    officialRuntime: () => (there.official === true ? official : null),
    officialInCache: () => there.zip ?? false,
    installOfficial: () => {
      done.push('install official')
      return there.installs === true ? official : null
    },
    cachedFallback: () => (there.cached === true ? fromNpm : null),
    fallbackFits: () => there.linux ?? true,
    installFallback: async () => {
      done.push('install fallback')
      return fromNpm
    },
    wantedVersion: () => '45.4.1',
  }
  return { how, done }
}
const quiet = (): void => {
  vi.spyOn(process.stderr, 'write').mockReturnValue(true)
}

describe('which Electron', () => {
  it('is the official one where it is unpacked, without a look at the network', async () => {
    const { how, done } = world({ official: true, cached: true })
    expect(await ensureRuntime('/clone', { environment: {}, how })).toBe(official)
    expect(done).toEqual([])
  })

  it('is the one from npm where it is in the cache, without a look at the network', async () => {
    const { how, done } = world({ cached: true, network: true, installs: true })
    expect(await ensureRuntime('/clone', { environment: {}, how })).toBe(fromNpm)
    expect(done).toEqual([])
  })

  it('is fetched from the official place when that can be reached', async () => {
    quiet()
    const { how, done } = world({ network: true, installs: true })
    expect(await ensureRuntime('/clone', { environment: {}, how })).toBe(official)
    expect(done).toEqual(['probe', 'install official'])
  })

  it('is unpacked from the cache of its own installer without a look at the network', async () => {
    quiet()
    const { how, done } = world({ zip: true, installs: true })
    expect(await ensureRuntime('/clone', { environment: {}, how })).toBe(official)
    expect(done).toEqual(['install official'])
  })

  it('comes from npm when the official place can not be reached, or its installer fails', async () => {
    quiet()
    const offline = world({})
    expect(await ensureRuntime('/clone', { environment: {}, how: offline.how })).toBe(fromNpm)
    expect(offline.done).toEqual(['probe', 'install fallback'])
    const failing = world({ network: true })
    expect(await ensureRuntime('/clone', { environment: {}, how: failing.how })).toBe(fromNpm)
    expect(failing.done).toEqual(['probe', 'install official', 'install fallback'])
  })

  it('is only ever official on other systems, and the problem says what to set', async () => {
    quiet()
    const { how, done } = world({ linux: false, cached: true })
    await expect(ensureRuntime('/clone', { environment: {}, how })).rejects.toMatchObject({
      next: expect.stringContaining('ELECTRON_OVERRIDE_DIST_PATH') as unknown,
    })
    expect(done).toEqual(['probe'])
  })

  it('is fetched anew when the person insists on the official one', async () => {
    quiet()
    const { how } = world({ cached: true, network: true, installs: true })
    expect(await ensureRuntime('/clone', { environment: {}, insistOnOfficial: true, how })).toBe(official)
  })

  it.runIf(process.platform === 'linux')('is the one that ELECTRON_OVERRIDE_DIST_PATH names', () => {
    write('electron')
    expect(presentRuntime('/clone', { ELECTRON_OVERRIDE_DIST_PATH: folder })).toMatchObject({
      kind: 'given',
      executable: path.join(folder, 'electron'),
    })
    expect(() =>
      presentRuntime('/clone', { ELECTRON_OVERRIDE_DIST_PATH: path.join(folder, 'none') }),
    ).toThrow(/has no electron/)
  })
})

describe('the official runtime on disk', () => {
  const unpacked = (version: string): void => {
    write('node_modules/electron/package.json', '{"version":"45.4.1"}')
    write('node_modules/electron/path.txt', 'electron')
    write('node_modules/electron/dist/version', version)
    write('node_modules/electron/dist/electron')
  }
  it('is taken when it is of the version in package.json', () => {
    unpacked('v45.4.1')
    expect(officialRuntime(folder)).toMatchObject({ kind: 'official', version: '45.4.1' })
  })
  it('is not taken when it is of another version, or not whole', () => {
    unpacked('44.0.0')
    expect(officialRuntime(folder)).toBeNull()
    unpacked('45.4.1')
    rmSync(path.join(folder, 'node_modules/electron/path.txt'))
    expect(officialRuntime(folder)).toBeNull()
  })
})

it("knows the archive in the installer's cache", () => {
  const environment = { electron_config_cache: path.join(folder, 'cache') }
  expect(officialInCache('45.4.1', environment)).toBe(false)
  write(`cache/0a1b/electron-v45.4.1-${process.platform}-${process.arch}.zip`)
  expect(officialInCache('45.4.1', environment)).toBe(true)
  expect(officialInCache('46.0.0', environment)).toBe(false)
})

describe('the runtime from npm in the cache', () => {
  const at = `electron/${fallback.version}`
  it('is taken only with the mark that is written last', () => {
    write(`${at}/electron`)
    expect(cachedFallback(folder)).toBeNull()
    write(`${at}/patchbay-runtime.json`, '{"layout":1}')
    expect(cachedFallback(folder)).toMatchObject({
      kind: 'fallback',
      executable: path.join(folder, at, 'electron'),
    })
  })
  it('is not taken from an older layout, a damaged mark or without its executable', () => {
    write(`${at}/electron`)
    write(`${at}/patchbay-runtime.json`, '{"layout":0}')
    expect(cachedFallback(folder)).toBeNull()
    write(`${at}/patchbay-runtime.json`, '{')
    expect(cachedFallback(folder)).toBeNull()
    write(`${at}/patchbay-runtime.json`, '{"layout":1}')
    rmSync(path.join(folder, at, 'electron'))
    expect(cachedFallback(folder)).toBeNull()
  })
  it('fits Linux on x64 only', () => {
    expect(fallbackFits('linux', 'x64')).toBe(true)
    expect(fallbackFits('linux', 'arm64')).toBe(false)
    expect(fallbackFits('win32', 'x64')).toBe(false)
  })
})

describe('the look at the network', () => {
  it('sees a server that answers, whatever it answers', async () => {
    const server = createServer((_request, response) => response.writeHead(404).end())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    expect(await reachable(`http://127.0.0.1:${port}/`, { environment: {} })).toBe(true)
    await new Promise((resolve) => server.close(resolve))
    expect(await reachable(`http://127.0.0.1:${port}/`, { environment: {} })).toBe(false)
  })

  it('gives up on a server that never answers', async () => {
    const never: typeof fetch = (_url, options) =>
      new Promise((_resolve, reject) => {
        options?.signal?.addEventListener('abort', () => reject(new Error('aborted')))
      })
    expect(await reachable('https://electron.example/', { limitMs: 1, environment: {}, get: never })).toBe(
      false,
    )
  })

  it('leaves the question to the installer behind a proxy', async () => {
    const get = vi.fn<typeof fetch>()
    expect(
      await reachable('https://electron.example/', { environment: { https_proxy: 'http://p:1' }, get }),
    ).toBe(true)
    expect(get).not.toHaveBeenCalled()
  })

  it('asks the mirror that is set', () => {
    expect(electronMirror({ ELECTRON_MIRROR: 'https://mirror.example/' })).toBe('https://mirror.example/')
    expect(electronMirror({})).toContain('electron')
  })
})
