import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { csvText, type CsvCell } from '../../../renderer/charts/csv'

/** A reader of RFC 4180, for the test only. */
function parse(text: string): string[][] {
  const rows: string[][] = [['']]
  let quoted = false
  for (let i = 0; i < text.length; i++) {
    const row = rows[rows.length - 1]
    const letter = text[i]
    if (quoted) {
      if (letter !== '"') row[row.length - 1] += letter
      else if (text[i + 1] === '"') {
        row[row.length - 1] += '"'
        i++
      } else quoted = false
    } else if (letter === '"') quoted = true
    else if (letter === ',') row.push('')
    else if (letter === '\r' && text[i + 1] === '\n') {
      rows.push([''])
      i++
    } else row[row.length - 1] += letter
  }
  return rows.slice(0, -1)
}
const line = (...cells: CsvCell[]) => parse(csvText({ header: [], rows: [cells] }))[1]

describe('CSV', () => {
  it.each(['=1+1', '+1', '-1', '@SUM(A1)', '\tx', '\rx', ' =1', '\u200b=1', '＝1', '\ufeff@x'])(
    'makes the text %j inert with an apostrophe',
    (text) => {
      expect(line(text)).toEqual([`'${text}`])
    },
  )

  it('keeps numbers numbers, also negative and very small ones', () => {
    expect(csvText({ header: ['x'], rows: [[-1.5, 1e-9, NaN, -Infinity]] })).toBe(
      'x\r\n-1.5,1e-9,NaN,-Infinity\r\n',
    )
  })

  it('quotes commas, quotes and line ends as RFC 4180 says', () => {
    expect(csvText({ header: ['a,b'], rows: [['say "hi"\r\nthere', '·the']] })).toBe(
      '"a,b"\r\n"say ""hi""\r\nthere",·the\r\n',
    )
  })

  it('gives back every text that is no formula, and no field that begins one', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' }), { minLength: 1, maxLength: 5 }), (cells) => {
        const read = line(...cells)
        expect(read).toHaveLength(cells.length)
        read.forEach((field, i) => {
          expect([cells[i], `'${cells[i]}`]).toContain(field)
          expect(field).not.toMatch(/^\s*[=+\-@]/)
        })
      }),
    )
  })
})
