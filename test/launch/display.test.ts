import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { hasDisplay, onVirtualDisplay } from '../../main/launch/display.mjs'

let folder: string
let before: string | undefined
/** Puts an Xvfb of the test's own first on the path: a script that runs `body`. */
const fakeXvfb = (body: string): void => {
  writeFileSync(path.join(folder, 'Xvfb'), `#!/bin/sh\n${body}\n`, { mode: 0o755 })
  process.env.PATH = `${folder}${path.delimiter}${before ?? ''}`
}
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-test-'))
  before = process.env.PATH
})
afterEach(() => {
  process.env.PATH = before
  rmSync(folder, { recursive: true })
})

it('runs the work on the number that Xvfb chose, and ends Xvfb afterwards', async () => {
  const pidFile = path.join(folder, 'pid')
  fakeXvfb(`echo $$ > ${pidFile}\necho 42 >&3\nexec sleep 60`)
  expect(await onVirtualDisplay(async (display: string) => display)).toBe(':42')
  expect(existsSync(pidFile)).toBe(true)
  expect(spawnSync('sh', ['-c', `kill -0 $(cat ${pidFile})`]).status).not.toBe(0)
})

it('ends Xvfb when the work fails', async () => {
  const pidFile = path.join(folder, 'pid')
  fakeXvfb(`echo $$ > ${pidFile}\necho 42 >&3\nexec sleep 60`)
  const failing = onVirtualDisplay(async () => {
    throw new Error('no window')
  })
  await expect(failing).rejects.toThrow('no window')
  expect(spawnSync('sh', ['-c', `kill -0 $(cat ${pidFile})`]).status).not.toBe(0)
})

it('says what to try when Xvfb does not start', async () => {
  fakeXvfb('exit 3')
  await expect(onVirtualDisplay(async () => {})).rejects.toMatchObject({
    name: 'LaunchProblem',
    message: expect.stringContaining('code 3') as unknown,
  })
})

describe('the display', () => {
  it('is there by X or Wayland on Linux, and always elsewhere', () => {
    expect(hasDisplay({}, 'linux')).toBe(false)
    expect(hasDisplay({ DISPLAY: '' }, 'linux')).toBe(false)
    expect(hasDisplay({ DISPLAY: ':0' }, 'linux')).toBe(true)
    expect(hasDisplay({ WAYLAND_DISPLAY: 'wayland-0' }, 'linux')).toBe(true)
    expect(hasDisplay({}, 'darwin')).toBe(true)
  })
})
