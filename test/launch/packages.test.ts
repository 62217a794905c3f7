import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { nodeProblem } from '../../main/launch/node-version.mjs'
import { installedMatches, lockfileHash, packagesState } from '../../main/launch/packages.mjs'
import { builtFrom, removeStamp, sourceHash, writeStamp } from '../../main/launch/stamp.mjs'

let clone: string
const write = (file: string, text: string): void => {
  mkdirSync(path.dirname(path.join(clone, file)), { recursive: true })
  writeFileSync(path.join(clone, file), text)
}
beforeEach(() => {
  clone = mkdtempSync(path.join(os.tmpdir(), 'patchbay-test-'))
  write('package-lock.json', '{"packages":{}}')
})
afterEach(() => rmSync(clone, { recursive: true }))

describe('the version of Node', () => {
  it.each(['20.19.0', '20.20.2', '22.0.0', '24.1.0'])('%s is new enough', (version) => {
    expect(nodeProblem(version)).toBeNull()
  })
  it.each(['20.18.1', '18.20.0', '9.0.0'])('%s is not, and the sentence names both', (version) => {
    expect(nodeProblem(version)).toContain('20.19')
    expect(nodeProblem(version)).toContain(version)
  })
})

describe('the npm packages', () => {
  it('are missing in a fresh clone, also where an install broke off', () => {
    expect(packagesState(clone)).toBe('missing')
    mkdirSync(path.join(clone, 'node_modules', 'vue'), { recursive: true })
    expect(packagesState(clone)).toBe('missing')
  })

  it('are unmarked after an install by hand, ready with the mark, stale when the lockfile changes', () => {
    write('node_modules/.package-lock.json', '{"packages":{}}')
    expect(packagesState(clone)).toBe('unmarked')
    write('node_modules/.patchbay-lockfile', lockfileHash(clone) + '\n')
    expect(packagesState(clone)).toBe('ready')
    write('package-lock.json', '{"packages":{"node_modules/x":{"version":"1.0.0"}}}')
    expect(packagesState(clone)).toBe('stale')
  })

  it('match the lockfile when every one that is not optional has its version', () => {
    const lock = (packages: Record<string, unknown>): string => JSON.stringify({ packages })
    const wanted = {
      '': { name: 'patchbay' },
      'node_modules/a': { version: '1.0.0' },
      'node_modules/win': { version: '2.0.0', optional: true },
    }
    write('package-lock.json', lock(wanted))
    write('node_modules/.package-lock.json', lock({ 'node_modules/a': { version: '1.0.0' } }))
    expect(installedMatches(clone)).toBe(true)
    write('node_modules/.package-lock.json', lock({ 'node_modules/a': { version: '1.0.1' } }))
    expect(installedMatches(clone)).toBe(false)
    write('node_modules/.package-lock.json', lock({}))
    expect(installedMatches(clone)).toBe(false)
  })
})

describe('the stamp of the build', () => {
  beforeEach(() => {
    for (const file of [
      'main/a.ts',
      'preload/b.ts',
      'renderer/c.vue',
      '.config/build.mjs',
      'package.json',
      'tsconfig.json',
    ])
      write(file, file)
    mkdirSync(path.join(clone, 'dist'))
  })

  it('holds until a source changes, appears, moves or goes', () => {
    const first = sourceHash(clone)
    writeStamp(clone, first)
    expect(builtFrom(clone)).toBe(sourceHash(clone))

    const hashes = new Set([first])
    write('main/a.ts', 'changed')
    hashes.add(sourceHash(clone))
    write('main/deep/new.ts', '')
    hashes.add(sourceHash(clone))
    rmSync(path.join(clone, 'main/deep/new.ts'))
    write('main/deep/newer.ts', '')
    hashes.add(sourceHash(clone))
    write('package-lock.json', '{}')
    hashes.add(sourceHash(clone))
    expect(hashes.size).toBe(5)
  })

  it('does not depend on what no bundle is made of', () => {
    const before = sourceHash(clone)
    write('test/x.test.ts', '')
    write('README.md', '')
    expect(sourceHash(clone)).toBe(before)
  })

  it('is absent before a build, while one runs, and when it is damaged', () => {
    expect(builtFrom(clone)).toBeNull()
    writeStamp(clone, sourceHash(clone))
    removeStamp(clone)
    expect(builtFrom(clone)).toBeNull()
    write('dist/stamp.json', '{"sour')
    expect(builtFrom(clone)).toBeNull()
  })
})
