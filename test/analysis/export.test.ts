import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { numberCell, textCell } from '../../main/analysis/csv'
import { exportActivation } from '../../main/analysis/export'
import { decodeNpy } from '../../main/models/formats/npy'
import { decodeSafetensors, float32Of } from '../../main/models/formats/safetensors'
import type { TokenInfo } from '../../preload/prompt'
import { NaiveModel } from './naive-model'

const model = new NaiveModel()
const tokens = model.ids('The capital of France is')
const hook = 'blocks.1.attn.hook_z'
const exportAs = (format: 'npy' | 'safetensors' | 'csv', of = model, at = hook) =>
  exportActivation(of, tokens, { hook: at, format })
const lines = (bytes: Uint8Array): string[] => new TextDecoder().decode(bytes).trimEnd().split('\n')

describe('exportActivation', () => {
  it('writes the same numbers as npy and as safetensors', async () => {
    const npy = decodeNpy((await exportAs('npy')).bytes, 'npy')
    const file = decodeSafetensors((await exportAs('safetensors')).bytes)
    const tensor = file.tensors.get(hook)
    if (tensor === undefined) throw new Error('no tensor')
    expect(npy).toMatchObject({ type: 'float32', shape: [5, 4, 32] })
    expect(tensor.shape).toEqual([5, 4, 32])
    expect([...float32Of(tensor)]).toEqual([...(npy.data as Float32Array)])
  })

  it('says in safetensors what the numbers were computed on', async () => {
    const { metadata } = decodeSafetensors((await exportAs('safetensors')).bytes)
    expect(Object.fromEntries(metadata)).toMatchObject({
      hook,
      model: 'storyworld',
      fingerprint: model.facts.fingerprint,
      precision: 'float32',
      provider: 'cpu',
      patchbay: '0.0.0',
    })
    expect(JSON.parse(metadata.get('tokens') ?? '')).toEqual(tokens)
    expect(JSON.parse(metadata.get('dims') ?? '')).toEqual(['pos', 'head', 'd_head'])
    expect(JSON.parse(metadata.get('request') ?? '')).toMatchObject({ rows: [tokens], captures: [hook] })
  })

  it('writes CSV with a row for each position and a column for each place', async () => {
    const [about, header, first, ...rest] = lines((await exportAs('csv')).bytes)
    expect(about).toContain(model.facts.fingerprint)
    const names = header.split(',')
    expect(names.slice(0, 4)).toEqual(['pos', 'token', 'head 0 d_head 0', 'head 0 d_head 1'])
    expect(names).toHaveLength(2 + 128)
    expect(rest).toHaveLength(4)
    const values = first.split(',')
    expect(values.slice(0, 2)).toEqual(['0', 'The'])
    const npy = decodeNpy((await exportAs('npy')).bytes, 'npy')
    expect(values.slice(2).map((value) => Math.fround(Number(value)))).toEqual([...npy.data.slice(0, 128)])
  })

  it('writes a pattern with a row for each head and query', async () => {
    const [, header, ...rows] = lines((await exportAs('csv', model, 'blocks.0.attn.hook_pattern')).bytes)
    expect(header).toBe('head,q_pos,token,k_pos 0,k_pos 1,k_pos 2,k_pos 3,k_pos 4')
    expect(rows).toHaveLength(20)
    expect(rows[6].split(',').slice(0, 3)).toEqual(['1', '1', ' capital'])
  })

  it('makes a plain file name of any model name', async () => {
    const hostile = new NaiveModel({ name: '../../etc/pa sswd\u202e<img>' })
    expect((await exportAs('npy', hostile)).name).toBe('etc-pa-sswd-img.blocks.1.attn.hook_z.npy')
    expect((await exportAs('csv', new NaiveModel({ name: '///' }))).name).toBe(
      'model.blocks.1.attn.hook_z.csv',
    )
  })

  it('never writes a token that a spreadsheet would run', async () => {
    const hostile = Object.assign(new NaiveModel(), {
      tokens: (ids: number[]): TokenInfo[] =>
        ids.map((id) => ({ id, piece: '', text: ' =cmd|" /C calc"!A0', special: false })),
    })
    const rows = lines((await exportAs('csv', hostile)).bytes)
    expect(rows[2].startsWith(`0,"' =cmd|"" /C calc""!A0",`)).toBe(true)
  })

  it('keeps safetensors metadata valid where a token is half a character', async () => {
    const broken = Object.assign(new NaiveModel(), {
      tokens: (ids: number[]): TokenInfo[] =>
        ids.map((id) => ({ id, piece: '', text: '\ud800', special: false })),
    })
    const { metadata } = decodeSafetensors((await exportAs('safetensors', broken)).bytes)
    expect(JSON.parse(metadata.get('token_texts') ?? '')).toEqual(tokens.map(() => '\ufffd'))
  })
})

describe('cells', () => {
  it('reads back as the text, in one cell, with at most an apostrophe before it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const cell = textCell(text)
        const quoted = cell.startsWith('"')
        const content = quoted ? cell.slice(1, -1).replaceAll('""', '"') : cell
        expect([text, `'${text}`]).toContain(content)
        expect(content).not.toMatch(/^\s*[=+\-@]/)
        if (!quoted) expect(cell).not.toMatch(/[",\n\r]/)
      }),
    )
  })

  it('bring every float32 back', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(Math.fround(Number(numberCell(value)))).toBe(value === 0 ? 0 : value)
      }),
    )
    expect([NaN, Infinity, -Infinity].map(numberCell)).toEqual(['nan', 'inf', '-inf'])
  })
})
