import os from 'node:os'
import path from 'node:path'
import { expect, it } from 'vitest'
import { cacheFolder } from '../../main/launch/folders.mjs'

it('keeps what is fetched where each system keeps caches', () => {
  expect(cacheFolder({ XDG_CACHE_HOME: '/c' }, 'linux')).toBe(path.join('/c', 'patchbay'))
  expect(cacheFolder({}, 'linux')).toBe(path.join(os.homedir(), '.cache', 'patchbay'))
  expect(cacheFolder({ LOCALAPPDATA: '/l' }, 'win32')).toBe(path.join('/l', 'patchbay', 'Cache'))
})
