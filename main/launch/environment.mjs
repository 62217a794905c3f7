/**
 * Environment variables that let ONNX Runtime's WebGPU provider compute on a machine without a GPU: on SwiftShader, the
 * software Vulkan driver in Electron's own folder. Where a GPU and its driver are there, nothing is changed.
 */
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

const driverFolders = ['/usr/share/vulkan/icd.d', '/etc/vulkan/icd.d', '/usr/local/share/vulkan/icd.d']
const gpuDevices = ['/dev/dri/renderD128', '/dev/nvidia0', '/dev/dxg']
const loaderFolders = [
  '/lib/x86_64-linux-gnu',
  '/usr/lib/x86_64-linux-gnu',
  '/lib/aarch64-linux-gnu',
  '/usr/lib/aarch64-linux-gnu',
  '/usr/lib64',
  '/usr/lib',
  '/usr/local/lib',
]

const disk = {
  exists: (/** @type {string} */ file) => existsSync(file),
  list: (/** @type {string} */ folder) => (existsSync(folder) ? readdirSync(folder) : []),
}

/**
 * @param {string} electronFolder the folder with Electron's executable
 * @param {{ environment?: NodeJS.ProcessEnv, platform?: NodeJS.Platform, files?: typeof disk }} [options]
 * @returns {Record<string, string>} variables to add; empty where there is nothing to do
 */
export function graphicsEnvironment(
  electronFolder,
  { environment = process.env, platform = process.platform, files = disk } = {},
) {
  if (platform !== 'linux') return {}
  /** @type {Record<string, string>} */
  const added = {}
  const driver = path.join(electronFolder, 'vk_swiftshader_icd.json')
  const chosen = environment.VK_ICD_FILENAMES || environment.VK_DRIVER_FILES
  // Mesa's lavapipe computes on the CPU too, and ONNX Runtime refuses it.
  const installed = driverFolders
    .flatMap(files.list)
    .some((name) => name.endsWith('.json') && !name.startsWith('lvp_'))
  const gpu = installed && gpuDevices.some(files.exists)
  if (!chosen && !gpu && files.exists(driver)) added.VK_ICD_FILENAMES = driver
  if (!environment.XDG_RUNTIME_DIR)
    added.XDG_RUNTIME_DIR = path.join(os.tmpdir(), `patchbay-runtime-${process.getuid?.() ?? 'user'}`)

  const searched = [...loaderFolders, ...(environment.LD_LIBRARY_PATH ?? '').split(':').filter(Boolean)]
  const loader = searched.some((folder) => files.exists(path.join(folder, 'libvulkan.so.1')))
  if (!loader && files.exists(path.join(electronFolder, 'libvulkan.so.1')))
    added.LD_LIBRARY_PATH = [environment.LD_LIBRARY_PATH, electronFolder].filter(Boolean).join(':')
  return added
}

/** Makes the folder that XDG_RUNTIME_DIR was set to. @param {Record<string, string>} added */
export function makeRuntimeFolder(added) {
  if (added.XDG_RUNTIME_DIR !== undefined) mkdirSync(added.XDG_RUNTIME_DIR, { recursive: true, mode: 0o700 })
}
