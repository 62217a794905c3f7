/** `patchbay patch` on the embedded model: what it prints and writes. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { Command } from 'commander'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { addPatch } from '../../main/cli/commands/patch'
import { parquetReadObjects } from 'hyparquet'
import { decodeNpy } from '../../main/models/formats/npy'
import { saveSaelensFolder } from '../../main/training/dictionary/saelens-folder'

let folder: string
let printed: string[]

beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-patch-'))
  vi.stubEnv('PATCHBAY_DATA', path.join(folder, 'data'))
  vi.stubEnv('PATCHBAY_CACHE', path.join(folder, 'cache'))
  printed = []
  vi.spyOn(console, 'log').mockImplementation((line: string) => void printed.push(line))
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true, force: true })
})

async function patch(...words: string[]): Promise<string> {
  const program = new Command('patchbay').exitOverride()
  addPatch(program)
  await program.parseAsync(['patch', '--provider', 'cpu', ...words], { from: 'user' })
  return printed.splice(0).join('\n')
}

const pair = ['--clean', 'The cat sat on the', '--corrupt', 'The dog sat on the']

describe('patchbay patch', () => {
  it('writes the same values as CSV, Parquet, JSON and npy', async () => {
    const file = (ending: string): string => path.join(folder, `sweep.${ending}`)
    const ask = (ending: string) => patch(...pair, '--metric', 'kl', '--out', file(ending))
    expect(await ask('csv')).toContain('sites run')
    await ask('json')
    await ask('npy')
    await ask('parquet')
    const [comment, header, ...rows] = readFileSync(file('csv'), 'utf8').trim().split('\n')
    expect(comment).toContain('denoising of blocks.0.hook_resid_pre')
    expect(header).toBe('layer,position,hook,token,kl,kl normalised')
    const json = JSON.parse(readFileSync(file('json'), 'utf8')) as {
      raw: { shape: number[]; data: number[] }
    }
    const npy = decodeNpy(readFileSync(file('npy')), 'npy')
    expect(npy.shape).toEqual(json.raw.shape.slice(1))
    expect(rows).toHaveLength(npy.data.length)
    const table = (await parquetReadObjects({
      file: new Uint8Array(readFileSync(file('parquet'))).buffer,
    })) as { layer: number; token: string; kl: number }[]
    expect(table.map(({ layer, token }) => [String(layer), token])).toEqual(
      rows.map((row) => [row.split(',')[0], row.split(',')[3]]),
    )
    const column = rows.map((row) => Number(row.split(',').at(-2)))
    Array.from(npy.data, Number).forEach((value, i) => {
      expect(column[i]).toBeCloseTo(value, 6)
      expect(json.raw.data[i]).toBeCloseTo(value, 6)
      expect(table[i].kl).toBe(value)
    })
  })

  it('patches features of a dictionary', async () => {
    const dictionary = path.join(folder, 'dictionary')
    const [d, features] = [128, 4]
    // Each feature reads and writes one number of the residual stream.
    const unit = (shape: number[], at: (feature: number) => number) => {
      const data = new Float32Array(d * features)
      for (let feature = 0; feature < features; feature++) data[at(feature)] = 1
      return { shape, data }
    }
    await saveSaelensFolder(dictionary, {
      config: {
        activation: 'standard',
        dIn: d,
        dOut: d,
        dSae: features,
        subtractDecoderBias: false,
        normalise: 'none',
        k: null,
        rescaleByDecoderNorm: false,
        transcoder: false,
        skip: false,
        hook: 'blocks.1.hook_resid_pre',
        outputHook: null,
        joinsHeads: false,
        modelName: null,
        prependBos: null,
      },
      weights: new Map([
        ['W_enc', unit([d, features], (feature) => feature * features + feature)],
        ['W_dec', unit([features, d], (feature) => feature * d + feature)],
        ['b_enc', { shape: [features], data: new Float32Array(features) }],
        ['b_dec', { shape: [d], data: new Float32Array(d) }],
      ]),
    })
    const out = path.join(folder, 'features.csv')
    const ask = ['--metric', 'kl', '--dictionary', dictionary]
    const text = await patch(...pair, ...ask, '--features', '2,0', '--out', out)
    expect(text).toMatch(/feature [02], position \d+ "/)
    const [, header, ...rows] = readFileSync(out, 'utf8').trim().split('\n')
    expect(header).toBe('feature,position,hook,token,kl,kl normalised')
    expect(new Set(rows.map((row) => row.split(',')[0]))).toEqual(new Set(['0', '2']))
    expect(rows[0]).toContain('blocks.1.hook_resid_pre')
    await expect(patch(...pair, ...ask, '--by', 'head')).rejects.toMatchObject({ code: 'input.invalid' })
    await expect(patch(...pair, '--metric', 'kl', '--top', '3')).rejects.toThrow('of a dictionary')
  })

  it('says what is missing or wrong', async () => {
    await expect(patch('--clean', 'The cat')).rejects.toThrow('two prompts')
    await expect(patch(...pair)).rejects.toThrow('needs an answer')
    await expect(patch(...pair, '--metric', 'kl', '--out', 'a.txt')).rejects.toThrow('can not be written')
    const unequal = ['--clean', 'The cat', '--corrupt', 'The cat sat on the', '--metric', 'kl']
    await expect(patch(...unequal)).rejects.toThrow('no alignment')
    expect(await patch(...unequal, '--align')).toContain('no partner')
  })
})
