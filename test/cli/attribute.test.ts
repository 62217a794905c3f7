import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { addAttribute } from '../../main/cli/commands/attribute'
import type { AttributionPatching, DirectAttribution, TokenAttribution } from '../../preload/attribution'
import { terminal } from './support/terminal'

const prompt = 'When Mary and John went to the store, John gave a drink to'
const swapped = 'When Mary and John went to the store, Mary gave a drink to'
const metric = ['--token', ' Mary', '--against', ' John']

const cli = terminal(addAttribute)
const attribute = (...words: string[]): Promise<string> =>
  cli.run('attribute', '--prompt', prompt, '--provider', 'cpu', ...words)

describe('patchbay attribute', () => {
  it('prints the parts of a logit difference, which add up', async () => {
    const text = await attribute(...metric, '--neurons', '3')
    expect(text).toMatch(/^logit " Mary" − " John" after position 13: \d/)
    expect(text).toMatch(/head \d\.\d/)
    expect(text).toMatch(/total \(remainder -?\d\.\de-\d+\)/)
    expect(text).toMatch(/neuron 3\.\d+/)
  })

  it('gives everything as JSON', async () => {
    const result = JSON.parse(await attribute(...metric, '--format', 'json')) as DirectAttribution
    const parts = [result.heads.data, result.mlps, result.attentionBias].flatMap((part) => [...part])
    const sum = parts.reduce((a, b) => a + b, result.embedding + result.constant)
    expect(sum).toBeCloseTo(result.logit, 3)
    expect(result.evidence.provenance.modelName).toBe('storyworld')
  })

  it('writes a table to a file', async () => {
    const out = cli.file('tokens.csv')
    await attribute(...metric, '--method', 'tokens', '--gradient-input', '--format', 'csv', '--out', out)
    const [about, header, ...rows] = readFileSync(out, 'utf8').trimEnd().split('\n')
    expect(about).toMatch(/^"?# gradient-input of storyworld/)
    expect(header).toBe('position,id,token,score,norm')
    expect(rows).toHaveLength(14)
    expect(rows[1]).toMatch(/^1,\d+, Mary,-?\d/)
  })

  it('integrates gradients from the mean embedding, and says what gap is left', async () => {
    const words = ['--method', 'tokens', '--baseline', 'mean', '--steps', '8', '--format', 'json']
    const result = JSON.parse(await attribute(...metric, ...words)) as TokenAttribution
    expect(result.steps).toBe(8)
    const sum = [...result.scores].reduce((a, b) => a + b, 0)
    expect(sum - (result.metric - (result.baselineMetric ?? NaN))).toBeCloseTo(result.gap ?? NaN, 4)
    const text = await attribute(...metric, '--method', 'tokens')
    expect(text).toMatch(/completeness gap/)
  })

  it('compares two prompts by attribution patching, as text and as a table', async () => {
    const words = ['--method', 'patching', '--corrupt', swapped, '--direction', 'noising']
    const text = await attribute(...metric, ...words, '--site', 'z', 'neurons', '--neurons', '2')
    expect(text).toMatch(/metric: clean \d.*corrupt -\d.*noising/)
    expect(text.match(/neuron \d\.\d+/g)).toHaveLength(2)
    const table = await attribute(...metric, ...words, '--site', 'resid_pre', '--format', 'csv')
    const rows = table.trimEnd().split('\n')
    expect(rows[1]).toBe('site,layer,head,neuron,position,token,effect,normalised')
    expect(rows).toHaveLength(2 + 4 * 14)
    const json = await attribute(...metric, ...words, '--site', 'z', '--format', 'json')
    expect((JSON.parse(json) as AttributionPatching).heads?.effect.shape).toEqual([4, 4])
  })

  it('refuses, in words, tokens that are none or several, and what does not fit together', async () => {
    await expect(attribute('--token', ' Mary John')).rejects.toThrow(/is 2 tokens of this model/)
    await expect(attribute('--token', 'id:999999')).rejects.toMatchObject({ code: 'input.invalid' })
    await expect(attribute('--token', ' Mary', '--metric', 'logit-difference')).rejects.toThrow(
      /second is missing/,
    )
    await expect(attribute('--token', ' Mary', '--metric', 'log-probability')).rejects.toThrow(/not to a log/)
    await expect(attribute(...metric, '--method', 'patching')).rejects.toThrow(/second is missing/)
    await expect(attribute(...metric, '--position', '99')).rejects.toMatchObject({ field: 'position' })
  })
})
