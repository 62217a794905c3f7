import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { addVerify } from '../../main/cli/verify/command'
import { casesFolder } from '../support/cases'
import { terminal } from './support/terminal'

const attribution = path.join(casesFolder, 'interop/attribution')
const cli = terminal(addVerify)
const verify = async (...words: string[]): Promise<string[]> =>
  (await cli.run('verify', '--provider', 'cpu', ...words)).split('\n')

/** A folder as the interop references lie, with one case that Patchbay has no code for. */
function withUnreadCase(): string {
  const place = cli.file('interop')
  mkdirSync(path.join(place, 'odd'), { recursive: true })
  writeFileSync(
    path.join(place, 'odd/reference.json'),
    JSON.stringify({ name: 'odd', library: 'some library' }),
  )
  cpSync(path.join(attribution, 'llama'), path.join(place, 'attribution/llama'), { recursive: true })
  return place
}

describe('patchbay verify on the cases of other libraries', () => {
  it('checks the attribution cases on the checkpoints that they name, within 1e-4', async () => {
    const lines = await verify(attribution)
    expect(lines.at(-1)).toBe('3 passed, 0 failed')
    for (const group of ['logit lens', 'direct attribution', 'attribution patching', 'exact patching'])
      expect(lines[0]).toContain(group)
    expect(lines[0]).toMatch(/^pass {2}gemma2 {2}cpu, ≤ 1e-4: .*integrated gradients \d/)
    expect(process.exitCode).toBeUndefined()
  })

  it('lists what can not be read yet by name, which is no failure', async () => {
    const model = path.join(casesFolder, 'architectures/llama')
    const lines = await verify(withUnreadCase(), '--model', model)
    expect(lines[0]).toMatch(/^pass {2}attribution\/llama/)
    expect(lines[1]).toContain('odd  cannot be read yet (made with some library)')
    expect(lines[2]).toBe('1 passed, 0 failed, 1 cannot be read yet')
    expect(process.exitCode).toBeUndefined()
  })

  it('fails where numbers differ, and where the checkpoint is not beside the case', async () => {
    const place = withUnreadCase()
    const lines = await verify(place)
    expect(lines[0]).toMatch(/^FAIL {2}attribution\/llama {2}llama has no weights of its own/)
    const file = path.join(place, 'attribution/llama/reference.json')
    const reference = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>
    writeFileSync(file, JSON.stringify({ ...reference, tokA: 5, checkpoint: '../../etc' }))
    const wrong = await verify(place, '--model', path.join(casesFolder, 'architectures/llama'))
    expect(wrong[0]).toMatch(/^FAIL .*direct attribution \S+ \(/)
    expect(process.exitCode).toBe(1)
  })
})
