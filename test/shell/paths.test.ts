import os from 'node:os'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { appPaths, userCache } from '../../main/shell/paths'

describe('folders', () => {
  it("are the user's, and the assets are real files in a packaged app", () => {
    const paths = appPaths('/opt/Patchbay/resources/app.asar', '/home/ada/.config', undefined, {
      XDG_CACHE_HOME: '/c',
    })
    expect(paths.dataDir).toBe(path.join('/home/ada/.config', 'patchbay'))
    expect(paths.assetsDir).toBe(path.join('/opt/Patchbay/resources/app.asar.unpacked', 'assets'))
    expect(appPaths('/clone', '/x', undefined, {}).assetsDir).toBe(path.join('/clone', 'assets'))
  })

  it('all lie inside --user-data-dir when it is given', () => {
    const { userData, dataDir, cacheDir } = appPaths('/clone', '/x', '/mine', { PATCHBAY_DATA: '/other' })
    expect(userData).toBe('/mine')
    expect(dataDir).toBe('/mine')
    expect(path.dirname(cacheDir)).toBe('/mine')
  })

  it('follow the custom of each system', () => {
    expect(userCache({ XDG_CACHE_HOME: '/c' }, 'linux')).toBe(path.join('/c', 'patchbay'))
    expect(userCache({}, 'linux')).toBe(path.join(os.homedir(), '.cache', 'patchbay'))
    expect(userCache({}, 'darwin')).toContain('Caches')
  })
})
