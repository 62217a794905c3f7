/** CSV and TSV as rows: what writers write comes back, and what is broken is named by its line. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readRows } from '../../main/datasets'
import { useFolder } from './support'

const folder = useFolder()

const quote = (text: string): string => `"${text.replaceAll('"', '""')}"`
const needsQuotes = (text: string, delimiter: string): boolean =>
  text === '' || /["\r\n]/.test(text) || text.includes(delimiter)

describe('CSV', () => {
  it('gives back what a writer wrote: quotes, delimiters, line breaks and any characters in fields', async () => {
    const field = fc.string({
      unit: fc.constantFrom('a', 'é', '😀', '"', ',', '\t', '\n', '\r\n', ' ', '{{', '=1+1'),
    })
    const cases = fc.record({
      rows: fc.array(fc.tuple(field, field, field), { maxLength: 20 }),
      ending: fc.constantFrom('\n', '\r\n'),
      delimiter: fc.constantFrom(',', '\t'),
      always: fc.boolean(),
      mark: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(cases, async ({ rows, ending, delimiter, always, mark }) => {
        const line = (fields: readonly string[]): string =>
          fields.map((each) => (always || needsQuotes(each, delimiter) ? quote(each) : each)).join(delimiter)
        const text = [['a', 'b', 'c'], ...rows].map((each) => line(each) + ending).join('')
        const file = folder.write(`round.${delimiter === ',' ? 'csv' : 'tsv'}`, (mark ? '\ufeff' : '') + text)
        expect(await folder.cells(file)).toEqual(rows.map(([a, b, c]) => ({ a, b, c })))
      }),
      { numRuns: 150, seed: 2 },
    )
  })

  it('names the line of a record that has too few or too many fields, and reads on', async () => {
    const text = 'a,b\r\n"one\r\nand more",1\r\n\r\nlonely\r\n2,3,4\r\nlast,row'
    expect(await folder.read(folder.write('ragged.csv', text))).toEqual([
      { row: 0, cells: { a: 'one\r\nand more', b: '1' } },
      expect.objectContaining({ row: 1, code: 'file.malformed', field: 'line 5' }),
      expect.objectContaining({
        row: 2,
        message: 'ragged.csv: line 6 has 3 fields where 2 columns are named.',
      }),
      { row: 3, cells: { a: 'last', b: 'row' } },
    ])
  })

  it('names the line whose bytes are not UTF-8, also inside a quoted field over several lines', async () => {
    const bytes = Buffer.from('a,b\n1,2\n"x\ny~z",3\n4,5\n~,6\n7,~')
    bytes.forEach((byte, i) => {
      if (byte === 0x7e) bytes[i] = 0xff
    })
    expect(await folder.read(folder.write('latin.csv', bytes))).toEqual([
      { row: 0, cells: { a: '1', b: '2' } },
      expect.objectContaining({ row: 1, field: 'line 4' }),
      { row: 2, cells: { a: '4', b: '5' } },
      expect.objectContaining({ row: 3, field: 'line 6' }),
      expect.objectContaining({ row: 4, field: 'line 7' }),
    ])
  })

  it('numbers lines right across chunks of the file', async () => {
    const rows = Array.from({ length: 20_000 }, (_, i) =>
      i % 1000 === 999 ? `${i}` : `${i},"text\nof ${i}"`,
    )
    const found = await folder.read(folder.write('long.csv', `n,text\n${rows.join('\n')}\n`))
    expect(found).toHaveLength(rows.length)
    let line = 2
    const bad = rows.flatMap((row) => {
      const at = line
      line += row.includes('\n') ? 2 : 1
      return row.includes(',') ? [] : [`line ${at}`]
    })
    expect(found.flatMap((each) => (each as { field?: string }).field ?? [])).toEqual(bad)
  })

  it('gives the rows before a quoted field that does not end, and names the line where it begins', async () => {
    const file = folder.write('open.csv', 'a,b\n1,2\n3,"4\n5,6\n')
    const cells: unknown[] = []
    await expect(
      (async () => {
        for await (const row of readRows({ kind: 'file', path: file })) cells.push(row.cells)
      })(),
    ).rejects.toMatchObject({ code: 'file.malformed', field: 'line 3' })
    expect(cells).toEqual([{ a: '1', b: '2' }])
  })

  it('takes a quote inside an unquoted field as a character', async () => {
    const file = folder.write('said.tsv', 'text\tlabel\nhe said "no" and left\t1\n')
    expect(await folder.cells(file)).toEqual([{ text: 'he said "no" and left', label: '1' }])
  })

  it('names columns that have no name or that of another one', async () => {
    const file = folder.write('names.csv', ',text,text,__proto__\n0,a,b,c\n')
    const [cells] = await folder.cells(file)
    expect(Object.entries(cells)).toEqual([
      ['column 1', '0'],
      ['text', 'a'],
      ['text (2)', 'b'],
      ['__proto__', 'c'],
    ])
  })

  it.each([
    ['nothing', ''],
    ['a header alone', 'a,b\n'],
  ])('has no rows where there is %s', async (_, text) => {
    expect(await folder.cells(folder.write('empty.csv', text))).toEqual([])
  })

  it('refuses UTF-16, as spreadsheets save it, in words', async () => {
    const file = folder.write(
      'excel.csv',
      Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from('a,b\n', 'utf16le')]),
    )
    await expect(folder.cells(file)).rejects.toMatchObject({
      code: 'file.malformed',
      next: 'Save it as UTF-8.',
    })
  })
})
