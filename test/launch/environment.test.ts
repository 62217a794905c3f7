import os from 'node:os'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { graphicsEnvironment } from '../../main/launch/environment.mjs'

describe('the environment for WebGPU', () => {
  const icd = path.join('/e', 'vk_swiftshader_icd.json')
  const own = [icd, path.join('/e', 'libvulkan.so.1')]
  const disk = (files: string[]) => ({
    exists: (file: string) => files.includes(file),
    list: (name: string) =>
      files.filter((file) => path.dirname(file) === name).map((file) => path.basename(file)),
  })
  const added = (files: string[], environment: NodeJS.ProcessEnv = { XDG_RUNTIME_DIR: '/run/user/1' }) =>
    graphicsEnvironment('/e', { environment, platform: 'linux', files: disk([...own, ...files]) })
  const loader = '/usr/lib/x86_64-linux-gnu/libvulkan.so.1'

  it("uses Electron's software driver and its loader on a machine that has neither", () => {
    expect(added([])).toEqual({ VK_ICD_FILENAMES: icd, LD_LIBRARY_PATH: '/e' })
  })
  it("keeps the system's loader where there is one", () => {
    expect(added([loader])).toEqual({ VK_ICD_FILENAMES: icd })
  })
  it('does not stand in the way of a GPU with a driver', () => {
    expect(added([loader, '/dev/dri/renderD128', '/usr/share/vulkan/icd.d/radeon_icd.x86_64.json'])).toEqual(
      {},
    )
  })
  it("takes neither a GPU without a driver nor Mesa's software driver for a GPU", () => {
    expect(added([loader, '/dev/dri/renderD128']).VK_ICD_FILENAMES).toBe(icd)
    expect(
      added([loader, '/dev/dri/renderD128', '/usr/share/vulkan/icd.d/lvp_icd.x86_64.json']).VK_ICD_FILENAMES,
    ).toBe(icd)
  })
  it('leaves a choice that was made alone, and adds to a library path', () => {
    const environment = { VK_ICD_FILENAMES: '/mine.json', LD_LIBRARY_PATH: '/lib1', XDG_RUNTIME_DIR: '/r' }
    expect(added([], environment)).toEqual({ LD_LIBRARY_PATH: '/lib1:/e' })
  })
  it('has nothing more to add in a process that it has been added to', () => {
    const environment = { XDG_RUNTIME_DIR: '/r' }
    const again = { ...environment, ...added([], environment) }
    expect(added([], again)).toEqual({})
  })
  it('names a runtime folder where the system has none', () => {
    expect(added([loader], {}).XDG_RUNTIME_DIR).toContain(os.tmpdir())
  })
  it('is left alone on other systems', () => {
    expect(graphicsEnvironment('/e', { environment: {}, platform: 'win32', files: disk(own) })).toEqual({})
  })
})
