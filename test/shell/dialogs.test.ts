import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { BrowserWindow, SaveDialogOptions } from 'electron'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { choosePath, openFile, readAtMost, saveFile } from '../../main/shell/dialogs'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-test-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

describe('dialogs', () => {
  const window = {} as BrowserWindow
  const answering = (filePaths: string[]) => {
    const asked: SaveDialogOptions[] = []
    return {
      asked,
      showOpenDialog: async () => ({ canceled: filePaths.length === 0, filePaths }),
      showSaveDialog: async (_window: unknown, options?: SaveDialogOptions) => {
        if (options !== undefined) asked.push(options)
        return { canceled: filePaths.length === 0, filePath: filePaths[0] ?? '' }
      },
    }
  }

  it('save under the chosen name, suggesting a harmless one', async () => {
    const file = path.join(folder, 'chosen.csv')
    const dialogs = answering([file])
    const bytes = new TextEncoder().encode('a,b')
    const filters = [{ name: 'CSV', extensions: ['csv'] }]
    expect(await saveFile(dialogs, window, { suggestedName: '../../lens.csv', bytes, filters })).toEqual({
      path: file,
    })
    expect(readFileSync(file, 'utf8')).toBe('a,b')
    expect(dialogs.asked[0]).toMatchObject({ defaultPath: 'lens.csv', filters })
  })

  it('write where a file comes from beside it, again and again, but over nothing else', async () => {
    const file = path.join(folder, 'x.npy')
    const beside = `${file}.provenance.json`
    const save = (text: string) =>
      saveFile(answering([file]), window, {
        suggestedName: 'x.npy',
        bytes: new TextEncoder().encode(text),
        filters: [],
        beside: new TextEncoder().encode(`{\n  "format": "patchbay.provenance", "of": "${text}"\n}`),
      })
    expect(await save('one')).toEqual({ path: file })
    expect(await save('two')).toEqual({ path: file })
    expect(readFileSync(beside, 'utf8')).toContain('"of": "two"')
    writeFileSync(beside, '{"mine": true}')
    await expect(save('three')).rejects.toMatchObject({ code: 'input.invalid', file: beside })
    expect(readFileSync(file, 'utf8')).toBe('three')
    expect(readFileSync(beside, 'utf8')).toBe('{"mine": true}')
  })

  it('write, read and open nothing when the person cancels', async () => {
    const dialogs = answering([])
    const bytes = new Uint8Array(1)
    expect(await saveFile(dialogs, window, { suggestedName: 'x', bytes, filters: [] })).toBeNull()
    expect(await openFile(dialogs, window, { filters: [], maxBytes: 10 })).toBeNull()
    expect(await choosePath(dialogs, window, { kind: 'model-folder' })).toBeNull()
    expect(readdirSync(folder)).toEqual([])
  })

  it('open a file by its name alone, with its bytes', async () => {
    const file = path.join(folder, 'preset.json')
    writeFileSync(file, '{}')
    const opened = await openFile(answering([file]), window, { filters: [], maxBytes: 2 })
    expect(opened?.name).toBe('preset.json')
    expect(new TextDecoder().decode(opened?.bytes)).toBe('{}')
  })

  it('refuse a file that is too large, before reading it', async () => {
    const file = path.join(folder, 'large')
    writeFileSync(file, 'abc')
    await expect(readAtMost(file, 2)).rejects.toMatchObject({ code: 'input.invalid', file })
  })

  it('refuse what is not an ordinary file', async () => {
    await expect(readAtMost(folder, 2)).rejects.toMatchObject({ code: 'file.unreadable' })
    await expect(readAtMost(os.devNull, 2)).rejects.toMatchObject({ code: 'file.unreadable' })
    await expect(readAtMost(path.join(folder, 'none'), 2)).rejects.toMatchObject({ code: 'file.missing' })
  })

  it('hand back the chosen model', async () => {
    const dialogs = answering(['/models/m.gguf'])
    expect(await choosePath(dialogs, window, { kind: 'model-file' })).toBe('/models/m.gguf')
  })
})
