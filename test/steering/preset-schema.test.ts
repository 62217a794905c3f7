import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parsePreset, presetText } from '../../main/steering/preset-schema'
import { examplePreset } from './presets'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const parse = (text: string) => parsePreset(bytes(text), '/somewhere/kindness.json')
const changed = (change: (preset: Record<string, unknown>) => void): string => {
  const value = JSON.parse(presetText(examplePreset())) as Record<string, unknown>
  change(value)
  return JSON.stringify(value)
}
const refusal = (field: string) =>
  expect.objectContaining({ code: 'file.malformed', file: '/somewhere/kindness.json', field }) as Error

describe('parsePreset', () => {
  it('reads what presetText writes', () => {
    expect(parse(presetText(examplePreset()))).toEqual(examplePreset())
  })

  it('reads back any name, note and author, as they are', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 50 })
    fc.assert(
      fc.property(text, text, (name, note) => {
        expect(parse(presetText(examplePreset({ name, note })))).toMatchObject({ name, note })
      }),
    )
  })

  it('refuses unknown keys by name, at any depth', () => {
    expect(() => parse(changed((p) => (p.color = 'red')))).toThrow(refusal('color'))
    expect(() => parse(changed((p) => ((p.sites as Record<string, unknown>[])[0].gain = 2)))).toThrow(
      refusal('sites.0.gain'),
    )
    expect(() =>
      parse(presetText(examplePreset()).replace('{', '{"__proto__": {"polluted": true},')),
    ).toThrow(refusal('__proto__'))
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })

  it('refuses a later version as such, and other JSON as no preset', () => {
    expect(() => parse(changed((p) => (p.version = 2)))).toThrow(
      expect.objectContaining({
        code: 'file.malformed',
        field: 'version',
        next: expect.stringContaining('newer Patchbay') as string,
      }),
    )
    expect(() => parse('{}')).toThrow(refusal('format'))
    expect(() => parse('[]')).toThrow(expect.objectContaining({ code: 'file.malformed' }))
  })

  it('refuses missing and impossible values by name', () => {
    expect(() => parse(changed((p) => delete p.note))).toThrow(refusal('note'))
    expect(() => parse(changed((p) => (p.sites = [])))).toThrow(refusal('sites'))
    expect(() => parse(changed((p) => ((p.model as Record<string, unknown>).fingerprint = 'x')))).toThrow(
      refusal('model.fingerprint'),
    )
    expect(() => parse(changed((p) => (p.id = '../evil')))).toThrow(refusal('id'))
    expect(() =>
      parse(
        changed(
          (p) => ((p.sites as { vector: Record<string, unknown> }[])[0].vector.file = '../../x.safetensors'),
        ),
      ),
    ).toThrow(refusal('sites.0.vector.file'))
  })

  it('refuses text that ends early, wherever it ends', () => {
    const text = presetText(examplePreset()).trimEnd()
    for (let length = 0; length < text.length; length++)
      expect(() => parse(text.slice(0, length))).toThrow(expect.objectContaining({ code: 'file.malformed' }))
  })

  it('refuses what is no UTF-8, a key that is there twice, and deep nesting', () => {
    const malformed = expect.objectContaining({ code: 'file.malformed' }) as Error
    expect(() => parsePreset(Uint8Array.of(0x7b, 0xff, 0x7d), 'x')).toThrow(malformed)
    expect(() => parse(presetText(examplePreset()).replace('{', '{"note": "first",'))).toThrow(malformed)
    expect(() => parse('['.repeat(100_000))).toThrow(malformed)
  })
})
