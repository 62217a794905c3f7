import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { Command } from 'commander'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { addTrain } from '../../main/cli/commands/train'

let folder: string
let printed: string[]

beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-train-cli-'))
  printed = []
  vi.spyOn(console, 'log').mockImplementation((line: string) => void printed.push(line))
})
afterEach(() => {
  vi.restoreAllMocks()
  rmSync(folder, { recursive: true, force: true })
})

async function patchbay(...words: string[]): Promise<string> {
  const program = new Command('patchbay').exitOverride()
  addTrain(program)
  await program.parseAsync(['train', 'storyworld', ...words], { from: 'user' })
  return printed.splice(0).join('\n')
}
const small = ['--rows', '2', '--columns', '12', '--questions', '1', '--evaluate-every', '2']

describe('patchbay train storyworld', () => {
  it('writes checkpoint, curve, accuracy and a model folder, and says what was learned', async () => {
    const text = await patchbay('--out', folder, '--steps', '2', ...small)
    expect(text).toMatch(/step 1 {2}loss [67]\.\d{4} .* tokens\/s/)
    expect(text).toMatch(/accuracy behind 2 steps\n {2}[01]\.\d{3} {2}indirect objects/)
    expect(text).toContain('Done: ')
    for (const name of [
      'checkpoint.safetensors',
      'loss.csv',
      'loss.json',
      'accuracy.json',
      'model/config.json',
    ])
      expect([name, existsSync(path.join(folder, name))]).toEqual([name, true])
    const accuracy = JSON.parse(readFileSync(path.join(folder, 'accuracy.json'), 'utf8')) as { step: number }
    expect(accuracy.step).toBe(2)
  })

  it('refuses to begin again where a checkpoint lies, and a setting that is no number', async () => {
    await patchbay('--out', folder, '--steps', '1', ...small)
    await expect(patchbay('--out', folder, '--steps', '1', ...small)).rejects.toMatchObject({
      code: 'input.invalid',
    })
    expect(await patchbay('--out', folder, '--steps', '1', '--resume', ...small)).toContain('Done: ')
    await expect(patchbay('--out', folder, '--steps', 'many')).rejects.toMatchObject({ field: 'steps' })
  })
})
