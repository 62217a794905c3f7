import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseStrictJson } from '../../../main/models/formats/strict-json'
import { failureOf } from '../scratch'

const parse = (text: string, options: object = {}) => parseStrictJson(text, { file: 'x.json', ...options })

describe('strict JSON', () => {
  it('reads what JSON.parse reads, however it is written', () => {
    fc.assert(
      fc.property(
        fc.jsonValue({ noUnicodeString: false }),
        fc.constantFrom(undefined, 1, '\t', '\r\n'),
        (value, indent) => {
          const text = JSON.stringify(value, null, indent)
          if (/\\ud[89a-f]/.test(text)) return
          expect(JSON.stringify(parse(text, { maxDepth: 100 }))).toBe(JSON.stringify(JSON.parse(text)))
        },
      ),
      { numRuns: 150, seed: 4 },
    )
  })

  it('reads escapes and numbers of every form', () => {
    const text = String.raw`["\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00", -0, 1E+2, 1.5e-3, true, false, null]`
    expect(parse(text)).toEqual(['"\\/\b\f\n\r\té😀', -0, 100, 0.0015, true, false, null])
  })

  it('refuses what JSON.parse refuses', () => {
    const pieces = [
      '{',
      '}',
      '[',
      ']',
      ':',
      ',',
      '"',
      '"a"',
      '\\',
      '1',
      '-',
      '.',
      'e',
      '01',
      'true',
      'nul',
      ' ',
      '\u0001',
      '\\x',
    ]
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 8 }), (parts) => {
        const text = parts.join('')
        let expected: unknown
        try {
          expected = JSON.parse(text)
        } catch {
          expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'file.malformed' }))
          return
        }
        expect(parse(text)).toEqual(expected)
      }),
      { numRuns: 3000, seed: 5 },
    )
  })

  it('refuses keys that are there twice, also when escaped differently', async () => {
    const error = await failureOf(() => parse('{"é": 1, "\\u00e9": 2}', { start: 100 }))
    expect(error).toMatchObject({ code: 'file.malformed', field: 'é', offset: 110 })
    expect(parse('{"a": {"b": 1}, "b": {"a": 2}}')).toEqual({ a: { b: 1 }, b: { a: 2 } })
  })

  it('takes __proto__ for a key like any other', () => {
    const value = parse('{"__proto__": {"polluted": true}}') as Record<string, unknown>
    expect(Object.keys(value)).toEqual(['__proto__'])
    expect('polluted' in value).toBe(false)
    expect({}).not.toHaveProperty('polluted')
  })

  it('refuses depth before it can hurt', async () => {
    const deep = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
    expect(() => parse(deep(32))).not.toThrow()
    expect((await failureOf(() => parse(deep(33)))).message).toMatch(/more than 32 deep/)
    expect((await failureOf(() => parse('{"a":'.repeat(1_000_000)))).offset).toBe(160)
  })

  it('refuses more values than any real header has', async () => {
    const error = await failureOf(() => parse(`[${'[],'.repeat(2_000_000)}1]`))
    expect(error.message).toMatch(/more than 2000000 values/)
  })

  it('takes megabytes of text, digits and space without trouble', async () => {
    expect(parse(`"${'x'.repeat(5_000_000)}"`)).toHaveLength(5_000_000)
    expect(parse(`[1${' '.repeat(5_000_000)}]`)).toEqual([1])
    expect((await failureOf(() => parse('9'.repeat(5_000_000)))).code).toBe('file.malformed')
    expect((await failureOf(() => parse(`"${'\\'.repeat(5_000_001)}`))).code).toBe('file.malformed')
  })

  it('takes NaN and infinities only where it is told to', async () => {
    expect(parse('[NaN, Infinity, -Infinity]', { pythonNumbers: true })).toEqual([NaN, Infinity, -Infinity])
    for (const text of ['NaN', 'Infinity', '-Infinity'])
      expect((await failureOf(() => parse(text))).message).toContain(text)
  })
})
