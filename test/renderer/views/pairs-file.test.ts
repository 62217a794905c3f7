import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PatchbayError } from '../../../preload/errors'
import { pairsOf, pastedPairs } from '../../../renderer/views/steer/pairs-file'

const bytes = (text: string) => new TextEncoder().encode(text)
const read = (name: string, text: string) => pairsOf(name, bytes(text))
const pair = (positive: string, negative: string) => ({ positive, negative })

function refusal(name: string, text: string | Uint8Array): string {
  try {
    pairsOf(name, typeof text === 'string' ? bytes(text) : text)
  } catch (error) {
    if (error instanceof PatchbayError && error.code === 'file.malformed' && error.next !== undefined)
      return error.message
    throw error
  }
  throw new Error('was accepted')
}

describe('contrast pairs from a file', () => {
  it('are read from JSON as objects, as couples, and under "pairs"', () => {
    expect(read('a.json', '[{"positive":"good","negative":"bad"},["up","down"]]')).toEqual([
      pair('good', 'bad'),
      pair('up', 'down'),
    ])
    expect(read('a.json', '{"pairs":[["up","down"]]}')).toEqual([pair('up', 'down')])
  })

  it('are read from JSON Lines, empty lines left out', () => {
    expect(read('a.jsonl', '["a","b"]\n\n{"positive":"c","negative":"d"}\r\n')).toEqual([
      pair('a', 'b'),
      pair('c', 'd'),
    ])
  })

  it('are read from CSV with quotes, line ends and columns by name or by place', () => {
    expect(read('a.csv', 'negative,id,positive\r\n"b,1",7,"say ""a""\nnow"\r\n')).toEqual([
      pair('say "a"\nnow', 'b,1'),
    ])
    expect(read('a.csv', 'a,b\nc,d')).toEqual([pair('a', 'b'), pair('c', 'd')])
    expect(read('a.tsv', 'a, and b\tc')).toEqual([pair('a, and b', 'c')])
  })

  it('with a byte-order mark are read without it', () => {
    expect(read('a.csv', '\ufeffpositive,negative\na,b')).toEqual([pair('a', 'b')])
  })

  it.each([
    ['a.jsonl', '["a","b"]\n["a"\n', 'a.jsonl, line 2: is not valid JSON.'],
    ['a.jsonl', '["a","b"]\n\n["only one"]', 'a.jsonl, line 3: is no pair'],
    ['a.csv', 'positive,negative\na,b\nc\n', 'a.csv, line 3: has 1 column, expected two'],
    ['a.csv', 'a,b\nc,d,e\n', 'a.csv, line 2: has 3 columns'],
    ['a.csv', 'a,b\n"two\nlines",c\nd,""\n', 'a.csv, line 4: the negative text is empty'],
    ['a.csv', 'a,b\nc,"never closed\n', 'a.csv, line 2: a quotation mark is opened here and never closed'],
    ['a.json', '[["a","b"],["c",""]]', 'a.json, entry 2: the negative text is empty'],
    ['a.json', '[["a","b"],{"positive":"c"}]', 'a.json, entry 2: is no pair'],
    ['a.json', '[\n["a","b"],\n["c" "d"]\n]', 'a.json, line 3: is not valid JSON'],
    ['a.json', '{"other": 1}', 'holds no list of pairs'],
    ['a.csv', '', 'a.csv, the file: holds no pairs'],
    ['a.json', '[]', 'holds no pairs'],
  ])('in %s are refused as %j: "%s"', (name, text, message) => {
    expect(refusal(name, text)).toContain(message)
  })

  it('are refused where the file is not UTF-8', () => {
    expect(refusal('a.csv', Uint8Array.of(0x61, 0x2c, 0xff, 0xfe))).toContain('is not UTF-8 text')
  })

  it('are refused beyond 10,000', () => {
    expect(refusal('a.jsonl', '["a","b"]\n'.repeat(10_001))).toContain('at most 10000')
  })

  it('are pairs or a refusal, whatever the file holds', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('x.json', 'x.jsonl', 'x.csv', 'x.tsv'),
        fc.string({ unit: 'binary' }),
        (name, text) => {
          try {
            for (const { positive, negative } of read(name, text)) {
              expect(positive.trim()).not.toBe('')
              expect(negative.trim()).not.toBe('')
            }
          } catch (error) {
            expect(error).toBeInstanceOf(PatchbayError)
          }
        },
      ),
    )
  })
})

describe('pasted text', () => {
  it('is a table where it has tabs', () => {
    expect(pastedPairs('good\tbad\nup\tdown\n')).toEqual([pair('good', 'bad'), pair('up', 'down')])
  })
  it('is ordinary text where it has none', () => {
    expect(pastedPairs('just, a sentence\nwith two lines')).toBeNull()
  })
  it('with a missing cell is refused naming the line', () => {
    expect(() => pastedPairs('a\tb\nc')).toThrow('line 2')
  })
})
