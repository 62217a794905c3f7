/** `patchbay dataset` on the embedded model: what it prints of a file, and of its rows as tokens. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { Command } from 'commander'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { addDataset } from '../../main/cli/commands/dataset'
import { datasetCalls } from '../../preload/datasets'

let folder: string
let file: string
let printed: string[]

beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-dataset-'))
  file = path.join(folder, 'reviews.csv')
  writeFileSync(
    file,
    'text,label\nThe cat was happy,pos\nThe dog was sad,neg\n,neg\n"The dog was sad",neg\nlonely\n\u001b[31mred,pos\n',
  )
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

async function dataset(...words: string[]): Promise<string> {
  const program = new Command('patchbay').exitOverride()
  addDataset(program)
  await program.parseAsync(['dataset', ...words], { from: 'user' })
  return printed.splice(0).join('\n')
}
const preview = (...words: string[]): Promise<string> =>
  dataset('preview', file, '--provider', 'cpu', ...words)

describe('patchbay dataset inspect', () => {
  it('prints columns, the first row, rows that can not be read, and what to begin with', async () => {
    const lines = (await dataset('inspect', file)).split('\n')
    expect(lines[0]).toBe('csv, one file, 0.0 MB, 6 rows')
    expect(lines).toContain('  label  (text, 2 different)  pos')
    expect(lines).toContain('prompt: --column text')
    expect(lines).toContain('label: --label label')
    expect(lines.join()).toContain('row 4 can not be used: reviews.csv: line 6 has 1 fields')
  })

  it('prints the report as JSON that its schema takes', async () => {
    const report: unknown = JSON.parse(await dataset('inspect', file, '--json'))
    expect(datasetCalls['datasets.inspect'].output.parse(report)).toMatchObject({ format: 'csv', rows: 6 })
    expect(JSON.parse(await dataset('inspect', file, '--format', 'lines', '--json'))).toMatchObject({
      rows: 7,
    })
  })
})

describe('patchbay dataset preview', () => {
  it('prints the tokens of rows with their span, and why others can not be used', async () => {
    const text = await preview('--template', 'I saw: [[{{text}}]]', '--marks', '[[,]]', '--label', 'label')
    const [first, tokens] = text.split('\n')
    expect(first).toMatch(/^row 0: \d+ tokens, pos$/)
    expect(tokens).toContain('[')
    expect(text).toContain('row 2 can not be used: No token stands between the marks.')
    expect(text).toContain('row 4 can not be used')
    expect(text).not.toContain('\u001b')
  })

  it('guesses the prompt, takes a window of the rows, and prints JSON that its schema takes', async () => {
    const json: unknown = JSON.parse(await preview('--offset', '1', '--count', '2', '--json'))
    const found = datasetCalls['datasets.preview'].output.parse(json)
    expect(found.rows.map(({ row }) => row)).toEqual([1])
    expect(found.failures.map(({ row, error }) => [row, error.code])).toEqual([[2, 'prompt.empty']])
  })

  it('cuts rows and draws samples as asked', async () => {
    const ask = [
      '--column',
      'text',
      '--max-tokens',
      '2',
      '--truncate',
      'left',
      '--limit',
      '3',
      '--sample',
      '4',
    ]
    const found = datasetCalls['datasets.preview'].output.parse(JSON.parse(await preview(...ask, '--json')))
    expect(found.rows.length + found.failures.length).toBe(3)
    for (const { tokens } of found.rows) expect(tokens.length).toBeLessThanOrEqual(2)
    expect(
      datasetCalls['datasets.preview'].output.parse(JSON.parse(await preview(...ask, '--json'))),
    ).toEqual(found)
  })

  it.each([
    [['--column', 'text', '--template', '{{text}}'], /one prompt only/],
    [['--column', 'txet'], /no column "txet"/],
    [['--marks', 'one'], /two marks/],
  ])('refuses %j in words', async (words, message) => {
    await expect(preview(...words)).rejects.toMatchObject({ code: 'input.invalid', message })
  })
})
