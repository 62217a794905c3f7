/** JSON Lines and JSON lists as rows; what is broken is named by its place. */
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readRows } from '../../main/datasets'
import { useFolder } from './support'

const folder = useFolder()

/** The cells before an error ends the reading, and that error. */
async function until(file: string): Promise<{ cells: unknown[]; error: unknown }> {
  const cells: unknown[] = []
  try {
    for await (const row of readRows({ kind: 'file', path: file })) cells.push(row.cells)
    return { cells, error: null }
  } catch (error) {
    return { cells, error }
  }
}

describe('JSON Lines', () => {
  it('gives an object’s members as cells, a string in the column `text`, and no row for an empty line', async () => {
    const text = '{"a":1,"b":"x","c":null,"d":true,"e":{"f":[1,2]}}\r\n\n"hello"\n  \n"no end of line"'
    expect(await folder.cells(folder.write('rows.jsonl', text))).toEqual([
      { a: 1, b: 'x', c: null, d: true, e: '{"f":[1,2]}' },
      { text: 'hello' },
      { text: 'no end of line' },
    ])
  })

  it('names lines that are no rows, and reads on', async () => {
    const bytes = Buffer.from('{"a":1}\n{"a":\n[1]\n7\nnull\n"~"\n{"a":2}\n')
    bytes[bytes.indexOf(0x7e)] = 0xc3
    expect(await folder.read(folder.write('bad.jsonl', bytes))).toEqual([
      { row: 0, cells: { a: 1 } },
      expect.objectContaining({ row: 1, field: 'line 2', message: 'bad.jsonl: line 2 is not JSON.' }),
      expect.objectContaining({ row: 2, field: 'line 3' }),
      expect.objectContaining({ row: 3, message: 'bad.jsonl: line 4 is neither an object nor a string.' }),
      expect.objectContaining({ row: 4, field: 'line 5' }),
      expect.objectContaining({ row: 5, message: 'bad.jsonl: line 6 is not UTF-8 text.' }),
      { row: 6, cells: { a: 2 } },
    ])
  })

  it('ends at the first line that can not be read where nobody takes failures', async () => {
    const { cells, error } = await until(folder.write('strict.jsonl', '"a"\nb\n"c"\n'))
    expect(cells).toEqual([{ text: 'a' }])
    expect(error).toMatchObject({ code: 'file.malformed', field: 'line 2' })
  })

  it('reads lines that are longer than a chunk of the file', async () => {
    const texts = [300_000, 10, 700_000, 0, 262_144].map((length, i) => String(i).repeat(length))
    const file = folder.write('long.jsonl', texts.map((text) => JSON.stringify({ text })).join('\n'))
    expect(await folder.cells(file)).toEqual(texts.map((text) => ({ text })))
  })

  it('refuses a line that does not end, without keeping it, and reads on', async () => {
    const endless = Buffer.alloc(33 * 2 ** 20, 'x')
    const bytes = Buffer.concat([Buffer.from('"a"\n'), endless, Buffer.from('\n"b"\n')])
    expect(await folder.read(folder.write('endless.jsonl', bytes))).toEqual([
      { row: 0, cells: { text: 'a' } },
      expect.objectContaining({ row: 1, message: 'endless.jsonl: line 2 is longer than 32 MB.' }),
      { row: 2, cells: { text: 'b' } },
    ])
  })

  it('keeps integers that a float64 does not hold as text, and digits inside strings as they are', async () => {
    const line = String.raw`{"id":12345678901234567890,"n":-9007199254740993,"f":1.2345678901234567e30,"s":"\"12345678901234567890\\","l":[98765432109876543210,5],"k":9007199254740991}`
    expect(await folder.cells(folder.write('big.jsonl', line))).toEqual([
      {
        id: '12345678901234567890',
        n: '-9007199254740993',
        f: 1.2345678901234567e30,
        s: '"12345678901234567890\\',
        l: '["98765432109876543210",5]',
        k: 9007199254740991,
      },
    ])
  })

  it('takes any member name as a column, and numbers beyond float64 as text', async () => {
    const [cells] = await folder.cells(
      folder.write('names.jsonl', '{"__proto__":"x","constructor":1e999,"":0}'),
    )
    expect(Object.entries(cells)).toEqual([
      ['__proto__', 'x'],
      ['constructor', 'Infinity'],
      ['', 0],
    ])
  })

  it('refuses a row with more than 10,000 columns', async () => {
    const wide = Object.fromEntries(Array.from({ length: 10_001 }, (_, i) => [`c${i}`, i]))
    expect(await folder.read(folder.write('wide.jsonl', JSON.stringify(wide)))).toEqual([
      expect.objectContaining({ message: 'wide.jsonl: line 1 has more than 10000 columns.' }),
    ])
  })

  it('reads out of a .gz, and says so where it is cut off or damaged', async () => {
    const lines = Array.from({ length: 5000 }, (_, i) => JSON.stringify({ i, text: `row ${i * 7919}` }))
    const packed = gzipSync(lines.join('\n'))
    const whole = await folder.cells(folder.write('rows.jsonl.gz', packed))
    expect(whole).toEqual(lines.map((line) => JSON.parse(line) as unknown))
    const cut = await until(folder.write('cut.jsonl.gz', packed.subarray(0, packed.length - 20)))
    expect(cut.error).toMatchObject({
      code: 'file.malformed',
      message: /cut\.jsonl\.gz: it can not be unpacked/,
    })
    const other = await until(folder.write('none.jsonl.gz', 'no gzip at all'))
    expect(other.error).toMatchObject({ code: 'file.malformed' })
  })
})

describe('a JSON list', () => {
  it('gives the rows that JSON.parse gives, however it is written and wherever chunks end', async () => {
    const value = fc.dictionary(
      fc.string(),
      fc.oneof(fc.string({ unit: 'binary' }), fc.integer(), fc.boolean()),
      {
        maxKeys: 4,
      },
    )
    const space = fc.constantFrom('', ' ', '\n', '\t\r\n')
    await fc.assert(
      fc.asyncProperty(fc.array(value, { maxLength: 10 }), space, fc.nat(4), async (rows, gap, indent) => {
        const text = `${gap}[${gap}${rows.map((row) => JSON.stringify(row, null, indent) + gap).join(`,${gap}`)}]${gap}`
        const cells = await folder.cells(folder.write('list.json', text))
        expect(cells.map((each) => Object.entries(each))).toEqual(
          (JSON.parse(text) as object[]).map((each) => Object.entries(each)),
        )
      }),
      { numRuns: 80, seed: 4 },
    )
  })

  it('reads lists and elements that are longer than a chunk', async () => {
    const rows = Array.from({ length: 3 }, (_, i) => ({ text: `"[{${i}\\`.repeat(60_000) }))
    expect(await folder.cells(folder.write('long.json', JSON.stringify(rows, null, 1)))).toEqual(rows)
  })

  it('names elements that are no rows, and reads on', async () => {
    const text = '[{"a":1}, nope, 3, "text", {"a":[1,{"b":"]"}]},]'
    expect(await folder.read(folder.write('bad.json', text))).toEqual([
      { row: 0, cells: { a: 1 } },
      expect.objectContaining({ row: 1, field: 'element 2 of the list' }),
      expect.objectContaining({ row: 2, field: 'element 3 of the list' }),
      { row: 3, cells: { text: 'text' } },
      { row: 4, cells: { a: '[1,{"b":"]"}]' } },
      expect.objectContaining({ row: 5, field: 'element 6 of the list' }),
    ])
  })

  it('gives what is before its end is missing, and names the place', async () => {
    const { cells, error } = await until(folder.write('half.json', '[{"a":1},{"a":'))
    expect(cells).toEqual([{ a: 1 }])
    expect(error).toMatchObject({ code: 'file.malformed', field: 'element 2' })
  })

  it('refuses what stands behind its end: lists as lines', async () => {
    const { error } = await until(folder.write('lists.jsonl', '[1,2]\n[3,4]\n'))
    expect(error).toMatchObject({ code: 'file.malformed' })
    expect(await folder.cells(folder.write('none.json', ' [ ] '))).toEqual([])
  })
})
