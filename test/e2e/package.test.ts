/** The packaged app: a folder that starts by itself, with the fuses set, in which the engine computes. */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { FuseState } from '@electron/fuses/dist/constants'
import { FuseV1Options, getCurrentFuseWire } from '@electron/fuses'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { machineSwitches, virtualSwitches } from '../../main/launch/app.mjs'
import { onVirtualDisplay } from '../../main/launch/display.mjs'
import { root } from '../../main/launch/folders.mjs'

/** Runs to the end; what it printed, and its exit code. */
function run(
  command: string,
  args: string[],
  environment: NodeJS.ProcessEnv,
): Promise<{ printed: string; code: unknown }> {
  const child = spawn(command, args, {
    cwd: os.tmpdir(),
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let printed = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ printed, code }))
  })
}

// Elsewhere the folder has another shape, and the runtime another origin.
describe.runIf(process.platform === 'linux')('the packaged app', () => {
  let release: string
  let executable: string

  beforeAll(async () => {
    release = mkdtempSync(path.join(os.tmpdir(), 'patchbay-release-'))
    const args = [
      path.join(root, 'main/launch/package.mjs'),
      '--dir',
      `--config.directories.output=${release}`,
    ]
    expect((await run(process.execPath, args, process.env)).code).toBe(0)
    executable = path.join(release, 'linux-unpacked', 'patchbay')
  })
  afterAll(() => rmSync(release, { recursive: true, force: true }))

  it('holds the libraries of this system only, and weights as real files', () => {
    const unpacked = path.join(release, 'linux-unpacked', 'resources', 'app.asar.unpacked')
    const binaries = path.join(unpacked, 'node_modules/onnxruntime-node/bin/napi-v6')
    expect(existsSync(path.join(binaries, 'linux', process.arch))).toBe(true)
    for (const other of ['win32', 'darwin']) expect(existsSync(path.join(binaries, other))).toBe(false)
    expect(existsSync(path.join(unpacked, 'assets/models/storyworld/model.safetensors'))).toBe(true)
  })

  it("has the fuses of Electron's checklist", async () => {
    const wire = await getCurrentFuseWire(executable)
    const off = [
      FuseV1Options.RunAsNode,
      FuseV1Options.EnableNodeOptionsEnvironmentVariable,
      FuseV1Options.EnableNodeCliInspectArguments,
      FuseV1Options.GrantFileProtocolExtraPrivileges,
    ]
    const on = [
      FuseV1Options.EnableCookieEncryption,
      FuseV1Options.EnableEmbeddedAsarIntegrityValidation,
      FuseV1Options.OnlyLoadAppFromAsar,
    ]
    expect(off.map((fuse) => wire[fuse])).toEqual(off.map(() => FuseState.DISABLE))
    expect(on.map((fuse) => wire[fuse])).toEqual(on.map(() => FuseState.ENABLE))
  })

  it('starts, computes the first lens and draws it', async () => {
    const folder = path.join(release, 'report')
    const { printed, code } = await onVirtualDisplay((display) => {
      const environment = { ...process.env, DISPLAY: display }
      const own = ['--headless-report', folder, '--user-data-dir', path.join(release, 'user')]
      return run(executable, [...machineSwitches(environment), ...virtualSwitches, ...own], environment)
    })
    expect(code).toBe(0)
    expect(printed.trim().split('\n').length).toBeGreaterThan(1)
    expect(statSync(path.join(folder, 'patchbay.png')).size).toBeGreaterThan(1000)
    expect(readFileSync(path.join(folder, 'patchbay.png')).subarray(1, 4).toString()).toBe('PNG')
  })
})
