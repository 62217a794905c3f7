import fc from 'fast-check'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { safeFileName } from '../../main/shell/file-name'

describe('suggested file names', () => {
  it.each([
    ['lens.png', 'lens.png'],
    ['../../etc/passwd', 'etc-passwd'],
    ['..\\..\\boot.ini', 'boot.ini'],
    ['\\\\server\\share\\x.csv', 'server-share-x.csv'],
    ['C:\\temp\\x.npy', 'C--temp-x.npy'],
    ['/absolute/x.svg', 'absolute-x.svg'],
    ['.hidden', 'hidden'],
    ['~root', 'root'],
    ['a\0b\nc\u202egnp.exe', 'abcgnp.exe'],
    ['blocks.5.hook_resid_pre of "The <b>cat</b>"?.csv', 'blocks.5.hook_resid_pre of -The -b-cat--b---.csv'],
    ['con', '_con'],
    ['NUL.txt', '_NUL.txt'],
    ['trailing. . ', 'trailing'],
    ['', 'patchbay'],
    ['....', 'patchbay'],
    ['\ud800x', 'x'],
    ['日本語.json', '日本語.json'],
  ])('%j becomes %j', (suggested, name) => {
    expect(safeFileName(suggested)).toBe(name)
  })

  it('are cut to what a file system takes, by whole characters, with their extension', () => {
    const name = safeFileName(`${'🦊'.repeat(500)}.safetensors`)
    expect(Buffer.byteLength(name)).toBeLessThanOrEqual(120)
    expect(name).toMatch(/^🦊+\.safetensors$/u)
  })

  it('are one harmless name, whatever is suggested', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 150 }), (suggested) => {
        const name = safeFileName(suggested)
        expect(path.basename(name)).toBe(name)
        expect(name).toMatch(/^[^.\\/:\p{Cc}\p{Cf}\p{Cs}][^\\/:\p{Cc}\p{Cf}\p{Cs}]*$/u)
        expect(Buffer.byteLength(name)).toBeLessThanOrEqual(121)
      }),
    )
  })
})
