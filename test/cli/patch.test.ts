/** `patchbay patch` on the embedded model: what it prints and writes. */
import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { addPatch } from '../../main/cli/commands/patch'
import { parquetReadObjects } from 'hyparquet'
import { encodeSafetensors } from '../../main/models/formats/safetensors'
import { decodeNpy } from '../../main/models/formats/npy'
import { saveSaelensFolder } from '../../main/training/dictionary/saelens-folder'
import { terminal } from './support/terminal'

const cli = terminal(addPatch)
const patch = (...words: string[]): Promise<string> => cli.run('patch', '--provider', 'cpu', ...words)

const pair = ['--clean', 'The cat sat on the', '--corrupt', 'The dog sat on the']

describe('patchbay patch', () => {
  it('writes the same values as CSV, Parquet, JSON and npy', async () => {
    const file = (ending: string): string => cli.file(`sweep.${ending}`)
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
    const dictionary = cli.file('dictionary')
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
    const out = cli.file('features.csv')
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

describe('patchbay patch --request', () => {
  /** The request of a small sweep, as everything that is written holds it. */
  async function copied(): Promise<Record<string, unknown>> {
    const flags = ['--component', 'z', '--by', 'head', '--metric', 'kl', '--json']
    const { request } = JSON.parse(await patch(...pair, ...flags)) as { request: Record<string, unknown> }
    return request
  }
  const ask = (request: unknown, ...words: string[]): Promise<string> =>
    patch('--request', JSON.stringify(request), ...words)
  const json = async <T>(request: unknown, ...words: string[]): Promise<T> =>
    JSON.parse(await ask(request, '--json', ...words)) as T

  it('patches paths where there are receivers', async () => {
    const request = await copied()
    const receivers = [{ hook: 'blocks.3.attn.hook_q', head: 1 }]
    interface Sweep {
      raw: { shape: number[]; data: number[] }
      request: unknown
    }
    const whole = await json<Sweep>(request)
    const paths = await json<Sweep>({ ...request, receivers })
    expect(paths.raw.shape).toEqual(whole.raw.shape)
    expect(paths.raw.data).not.toEqual(whole.raw.data)
    expect(paths.request).toEqual({ ...request, receivers, frozen: 'heads-and-mlps' })
    const out = cli.file('paths.csv')
    expect(await ask({ ...request, receivers }, '--out', out)).toContain(`written to ${out}`)
    expect(readFileSync(out, 'utf8').split('\n')[1]).toBe('layer,head,hook,kl,kl normalised')
  })

  it('keeps sets and replaces all else where there is something to keep', async () => {
    const request: Record<string, unknown> = { ...(await copied()), target: undefined }
    const every = [0, 1, 2, 3].flatMap((layer) => [
      { hook: `blocks.${layer}.attn.hook_z` },
      { hook: `blocks.${layer}.hook_mlp_out` },
    ])
    const rows = (request.pairs as { clean: number[]; corrupt: number[] }[]).flatMap((one) => [
      one.clean,
      one.corrupt,
    ])
    const scrub = {
      ...request,
      direction: 'noising',
      source: { kind: 'resample', rows },
      keep: [every, []],
      draws: 2,
    }
    const result = await json<{ circuits: { values: number[][]; mean: number[] }[] }>(scrub)
    // The clean prompt with nothing replaced is the clean prompt.
    expect(result.circuits[0].values[0]).toEqual([0, 0])
    const out = cli.file('scrub.csv')
    const text = await ask(scrub, '--out', out)
    expect(text).toMatch(/^clean 0\.0000, corrupt \d/)
    expect(text).toMatch(/set 1: 0 kept, \d+ replaced, 2 draws from/)
    const [about, header, clean, corrupt, ...draws] = readFileSync(out, 'utf8').trim().split('\n')
    expect(about).toContain('scrubbing (noising)')
    expect(header).toBe('set,kept,replaced,draw,kl,kl normalised')
    expect([clean.split(',').at(-1), corrupt.split(',').at(-1)]).toEqual(['1', '0'])
    expect(draws.map((row) => row.split(',')[0])).toEqual(['0', '0', '1', '1'])
    const mean = draws.slice(2).reduce((sum, row) => sum + Number(row.split(',')[4]) / 2, 0)
    expect(mean).toBeCloseTo(result.circuits[1].mean[0], 6)
    await expect(ask(scrub, '--out', cli.file('scrub.npy'))).rejects.toThrow(
      'A scrubbing check can not be written as "npy".',
    )
  })

  it('takes tensors from a file, or written out in the request', async () => {
    const vector = { shape: [128], data: Float32Array.from({ length: 128 }, (_, i) => i / 64 - 1) }
    const request = {
      ...(await copied()),
      target: { kind: 'grid', component: 'resid_pre', by: ['position'], layers: [2] },
      source: { kind: 'tensor', tensors: { 'blocks.2.hook_resid_pre': 'a vector' } },
    }
    const file = cli.file('vector.safetensors')
    const other = { name: 'another', shape: [1], data: Float32Array.of(1) }
    writeFileSync(file, encodeSafetensors([{ name: 'a vector', ...vector }, other], {}))
    const named = await json<{ raw: unknown }>(request, '--tensors', file)
    const written = { shape: vector.shape, data: Array.from(vector.data) }
    const inline = await json<{ raw: unknown }>({ ...request, tensors: { 'a vector': written } })
    expect(named.raw).toEqual(inline.raw)
    await expect(ask(request)).rejects.toThrow('names a tensor "a vector" that did not come with it')
    await expect(ask({ ...request, tensors: { 'a vector': { ...written, shape: [3] } } })).rejects.toThrow(
      'not the product of shape',
    )
    await expect(patch(...pair, '--metric', 'kl', '--tensors', file)).rejects.toThrow('would be ignored')
  })

  it('refuses what is no such request, more than one, of another model, or beside flags', async () => {
    const request = await copied()
    await expect(ask({ ...request, target: undefined })).rejects.toThrow(
      /no "target".*no "receivers".*no "keep"/,
    )
    await expect(ask({ ...request, keep: [[]] })).rejects.toThrow('two at once')
    await expect(ask({ ...request, reciever: [] })).rejects.toThrow('reciever')
    await expect(ask({ ...request, receivers: [] })).rejects.toThrow('receivers')
    await expect(ask({ ...request, model: 'ab'.repeat(32) })).rejects.toThrow('for the model abab')
    await expect(ask(request, '--direction', 'noising')).rejects.toThrow('--direction would be ignored')
    await expect(patch('--request', '{')).rejects.toThrow('not JSON')
  })
})
