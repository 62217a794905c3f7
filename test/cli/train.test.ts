import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { addTrain } from '../../main/cli/commands/train'
import { terminal } from './support/terminal'

const cli = terminal(addTrain)
const patchbay = (...words: string[]): Promise<string> => cli.run('train', 'storyworld', ...words)
const small = ['--rows', '2', '--columns', '12', '--questions', '1', '--evaluate-every', '2']

describe('patchbay train storyworld', () => {
  it('writes checkpoint, curve, accuracy and a model folder, and says what was learned', async () => {
    const text = await patchbay('--out', cli.folder, '--steps', '2', ...small)
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
      expect([name, existsSync(cli.file(name))]).toEqual([name, true])
    const accuracy = JSON.parse(readFileSync(cli.file('accuracy.json'), 'utf8')) as { step: number }
    expect(accuracy.step).toBe(2)
  })

  it('refuses to begin again where a checkpoint lies, and a setting that is no number', async () => {
    await patchbay('--out', cli.folder, '--steps', '1', ...small)
    await expect(patchbay('--out', cli.folder, '--steps', '1', ...small)).rejects.toMatchObject({
      code: 'input.invalid',
    })
    expect(await patchbay('--out', cli.folder, '--steps', '1', '--resume', ...small)).toContain('Done: ')
    await expect(patchbay('--out', cli.folder, '--steps', 'many')).rejects.toMatchObject({ field: 'steps' })
  })
})
