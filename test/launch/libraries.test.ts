import { writeFileSync, mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  ensureLibraries,
  missingIn,
  missingLibraries,
  onPath,
  packagesFor,
  systemOf,
} from '../../main/launch/libraries.mjs'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-test-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const ldd = `	linux-vdso.so.1 (0x00007ffd)
	libgtk-3.so.0 => not found
	libnss3.so => not found
	libsmime3.so => not found
	libasound.so.2 => not found
	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)
	libgtk-3.so.0 => not found
`

describe('missing system libraries', () => {
  it('are read from what ldd prints, each once', () => {
    expect(missingIn(ldd)).toEqual(['libasound.so.2', 'libgtk-3.so.0', 'libnss3.so', 'libsmime3.so'])
    expect(missingIn('\tstatically linked\n')).toEqual([])
  })

  it('are turned into Debian packages, each once, and what is unknown is named', () => {
    expect(packagesFor([...missingIn(ldd), 'libodd.so.7'], { time64: false })).toEqual({
      packages: ['libasound2', 'libgtk-3-0', 'libnss3'],
      unknown: ['libodd.so.7'],
    })
  })

  it('have other package names where time has 64 bits', () => {
    expect(packagesFor(['libasound.so.2', 'libnss3.so'], { time64: true }).packages).toEqual([
      'libasound2t64',
      'libnss3',
    ])
  })

  it('include what Electron loads later and ldd does not list', () => {
    const run = (known: string) =>
      ((command: string) => ({
        stdout: command === 'ldd' ? '\tlibc.so.6 => /lib/libc.so.6\n' : known,
      })) as never
    expect(missingLibraries('/electron', run('\tlibc.so.6 => /lib/libc.so.6'))).toEqual(['libgtk-3.so.0'])
    expect(missingLibraries('/electron', run('\tlibgtk-3.so.0 => /lib/x'))).toEqual([])
  })

  it('are not guessed where ldd does not exist', () => {
    expect(missingLibraries('/electron', (() => ({ stdout: null })) as never)).toEqual([])
  })

  it('are only named for what Debian and its children call them', () => {
    expect(systemOf('ID=debian\nVERSION_ID="12"\n')).toEqual({ debian: true, time64: false })
    expect(systemOf('ID=debian\nVERSION_ID="13"\n')).toEqual({ debian: true, time64: true })
    expect(systemOf('ID=ubuntu\nVERSION_ID="24.04"\nID_LIKE=debian\n')).toEqual({
      debian: true,
      time64: true,
    })
    expect(systemOf('ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_ID="21"\n')).toEqual({
      debian: true,
      time64: false,
    })
    expect(systemOf('ID=fedora\nVERSION_ID=40\n')).toEqual({ debian: false, time64: false })
    expect(systemOf('')).toEqual({ debian: false, time64: false })
  })

  it('and commands are looked for on the path', () => {
    writeFileSync(path.join(folder, 'Xvfb'), '')
    expect(onPath('Xvfb', { PATH: `/nowhere${path.delimiter}${folder}` })).toBe(true)
    expect(onPath('Xvfb', { PATH: '/nowhere' })).toBe(false)
    expect(onPath('Xvfb', {})).toBe(false)
  })
})

describe('what is done about them', () => {
  /** A machine that lacks libraries until they are installed. */
  function machine({ missing = ['libnss3.so'], root = false, debian = true, xvfb = true }) {
    const installed: string[][] = []
    const how = {
      linux: () => true,
      root: () => root,
      systemOf: () => ({ debian, time64: false }),
      missingLibraries: () => (installed.length > 0 ? [] : missing),
      onPath: () => xvfb,
      installDebian: (packages: string[]) => void installed.push(packages),
    }
    return { how, installed }
  }
  beforeEach(() => {
    vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  })
  afterEach(() => {
    vi.restoreAllMocks()
  })
  const ask = { needXvfb: false, mayInstall: false }

  it('nothing, where nothing is missing', () => {
    const { how, installed } = machine({ missing: [] })
    ensureLibraries('/electron', { needXvfb: true, mayInstall: true }, how)
    expect(installed).toEqual([])
  })

  it('a person without root is told exactly what to type', () => {
    const { how } = machine({ missing: ['libgtk-3.so.0', 'libnss3.so'] })
    expect(() => ensureLibraries('/electron', { ...ask, mayInstall: true }, how)).toThrow(
      expect.objectContaining({
        message: 'Debian packages are missing: libgtk-3-0 libnss3.',
        next: "Type:  sudo sh -c 'apt-get update && apt-get install -y libgtk-3-0 libnss3'",
      }),
    )
  })

  it('root is told what to type, and that --yes does it', () => {
    const { how, installed } = machine({ root: true })
    expect(() => ensureLibraries('/electron', ask, how)).toThrow(
      expect.objectContaining({ next: expect.stringContaining('npm start -- --yes') as unknown }),
    )
    expect(installed).toEqual([])
  })

  it('root who allows it gets them installed, with Xvfb where there is no display', () => {
    const { how, installed } = machine({ root: true, xvfb: false })
    ensureLibraries('/electron', { needXvfb: true, mayInstall: true }, how)
    expect(installed).toEqual([['libnss3', 'xvfb']])
  })

  it('says so when they are missing still', () => {
    const { how } = machine({ root: true })
    const stubborn = { ...how, missingLibraries: () => ['libnss3.so'] }
    expect(() => ensureLibraries('/electron', { ...ask, mayInstall: true }, stubborn)).toThrow(
      /Still missing/,
    )
  })

  it('on other systems, and for a library of no known package, names what to look for and installs nothing', () => {
    const fedora = machine({ root: true, debian: false })
    expect(() => ensureLibraries('/electron', { ...ask, mayInstall: true }, fedora.how)).toThrow(
      /Missing: libnss3\.so/,
    )
    const odd = machine({ root: true, missing: ['libodd.so.7'] })
    expect(() => ensureLibraries('/electron', { ...ask, mayInstall: true }, odd.how)).toThrow(
      /Missing: libodd\.so\.7/,
    )
    expect([...fedora.installed, ...odd.installed]).toEqual([])
  })
})
