/** Plain text and folders as rows: lines, paragraphs, documents, and what a folder may not lead to. */
import { mkdirSync, symlinkSync } from 'node:fs'
import path from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { useFolder } from './support'

const folder = useFolder()

describe('plain text', () => {
  it('is a row a line, without empty ones', async () => {
    const file = folder.write('some.txt', '\ufeffone\r\n\n  two \n\nthree')
    expect(await folder.cells(file)).toEqual([{ text: 'one' }, { text: '  two ' }, { text: 'three' }])
  })

  it('is a row a paragraph, parted by empty lines, or one document', async () => {
    const file = folder.write('prose.txt', '\n\na\nb\r\n \nc\n')
    expect(await folder.cells(file, 'paragraphs')).toEqual([{ text: 'a\nb' }, { text: 'c' }])
    expect(await folder.cells(file, 'document')).toEqual([{ text: '\n\na\nb\r\n \nc\n' }])
  })

  it('names lines that are not UTF-8, wherever chunks of the file end', async () => {
    const line = fc.record({ length: fc.nat(90_000), good: fc.boolean() })
    await fc.assert(
      fc.asyncProperty(fc.array(line, { minLength: 1, maxLength: 12 }), async (lines) => {
        const parts = lines.map(({ length, good }) =>
          Buffer.concat([Buffer.from(`${'é'.repeat(length)}x`), Buffer.from(good ? 'y' : [0xe9])]),
        )
        const file = folder.write(
          'lines.txt',
          Buffer.concat(parts.flatMap((part) => [part, Buffer.from('\n')])),
        )
        expect(await folder.read(file)).toEqual(
          lines.map(({ length, good }, row): unknown =>
            good
              ? { row, cells: { text: `${'é'.repeat(length)}xy` } }
              : expect.objectContaining({ row, code: 'file.malformed', field: `line ${row + 1}` }),
          ),
        )
      }),
      { numRuns: 30, seed: 6 },
    )
  })

  it('makes a paragraph with such a line one failure', async () => {
    const file = folder.write('mixed.txt', Buffer.from('a\nb\xff\nc\n\nd\n', 'latin1'))
    expect(await folder.read(file, 'paragraphs')).toEqual([
      expect.objectContaining({ row: 0, field: 'line 2' }),
      { row: 1, cells: { text: 'd' } },
    ])
  })

  it.each([
    ['JSON Lines', '{"a":1}\n', [{ a: 1 }]],
    ['a JSON list', ' [ {"a":1} ]', [{ a: 1 }]],
    ['text', '[sic] and so on\n', [{ text: '[sic] and so on' }]],
  ])(
    'is told from other formats by its beginning where the name says nothing: %s',
    async (_, text, cells) => {
      expect(await folder.cells(folder.write('nameless', text))).toEqual(cells)
    },
  )

  it('refuses a file that is neither text nor data, and one that is not there', async () => {
    const file = folder.write('image', Buffer.from([0x89, 0x50, 0, 0, 1]))
    await expect(folder.cells(file)).rejects.toMatchObject({ code: 'file.malformed', file })
    await expect(folder.cells(`${file}.txt`)).rejects.toMatchObject({ code: 'file.missing' })
    await expect(folder.cells(file, 'folder')).rejects.toMatchObject({ code: 'input.invalid' })
  })
})

describe('a folder', () => {
  it('of text files gives each file’s text and name, sorted, hidden ones left out', async () => {
    folder.write('texts/b.txt', 'second')
    folder.write('texts/a/deep.md', 'first\n')
    folder.write('texts/.git/config', 'hidden')
    folder.write('texts/c.png', Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 0xff]))
    expect(await folder.read(path.join(folder.path, 'texts'))).toEqual([
      { row: 0, cells: { text: 'first\n', file: 'a/deep.md' } },
      { row: 1, cells: { text: 'second', file: 'b.txt' } },
      expect.objectContaining({ row: 2, message: 'c.png: it is not UTF-8 text.' }),
    ])
  })

  it('of data files gives their rows one file after the other, without what describes them', async () => {
    folder.write('data/data/train-00000.jsonl', '"a"\n"b"\n')
    folder.write('data/data/train-00001.jsonl.gz', (await import('node:zlib')).gzipSync('"c"\n'))
    folder.write('data/README.md', '# Data')
    folder.write('data/dataset_infos.json', '{}')
    const found = await folder.read(path.join(folder.path, 'data'))
    expect(found).toEqual(['a', 'b', 'c'].map((text, row) => ({ row, cells: { text } })))
  })

  it('of several kinds of data asks which one', async () => {
    folder.write('kinds/a.csv', 'text\nfrom csv\n')
    folder.write('kinds/b.jsonl', '"from jsonl"\n')
    const kinds = path.join(folder.path, 'kinds')
    await expect(folder.cells(kinds)).rejects.toMatchObject({ code: 'input.invalid', message: /csv, jsonl/ })
    expect(await folder.cells(kinds, 'csv')).toEqual([{ text: 'from csv' }])
    await expect(folder.cells(kinds, 'parquet')).rejects.toMatchObject({ code: 'input.invalid' })
  })

  it('does not follow a link out of it, nor one to a folder, and names it', async () => {
    const secret = folder.write('secret.txt', 'secret')
    folder.write('links/a.txt', 'inside')
    const links = path.join(folder.path, 'links')
    symlinkSync(secret, path.join(links, 'b.txt'))
    symlinkSync(path.join(links, 'a.txt'), path.join(links, 'c.txt'))
    symlinkSync(links, path.join(links, 'loop'))
    symlinkSync(path.join(links, 'nowhere'), path.join(links, 'd.txt'))
    expect(await folder.read(links)).toEqual([
      { row: 0, cells: { text: 'inside', file: 'a.txt' } },
      expect.objectContaining({ row: 1, code: 'file.outside' }),
      { row: 2, cells: { text: 'inside', file: 'c.txt' } },
      expect.objectContaining({ row: 3, code: 'file.missing' }),
    ])
    folder.write('linked/a.jsonl', '"a"\n')
    symlinkSync(folder.write('elsewhere.jsonl', '"b"\n'), path.join(folder.path, 'linked/b.jsonl'))
    await expect(folder.cells(path.join(folder.path, 'linked'))).rejects.toMatchObject({
      code: 'file.outside',
    })
  })

  it('of a hub’s cache reads the repository’s blobs that its snapshot links to', async () => {
    const blob = folder.write('datasets--a--b/blobs/0123', '"from the hub"\n')
    const snapshot = path.join(folder.path, 'datasets--a--b/snapshots/abc')
    mkdirSync(snapshot, { recursive: true })
    symlinkSync(path.relative(snapshot, blob), path.join(snapshot, 'train.jsonl'))
    expect(await folder.cells(snapshot)).toEqual([{ text: 'from the hub' }])
  })

  it('without files is refused', async () => {
    mkdirSync(path.join(folder.path, 'nothing'))
    await expect(folder.cells(path.join(folder.path, 'nothing'))).rejects.toMatchObject({
      code: 'input.invalid',
    })
  })
})
