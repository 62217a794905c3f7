import { writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { addJob } from '../../main/cli/commands/job'
import { terminal } from './support/terminal'

const cli = terminal(addJob)
const patchbay = (...words: string[]): Promise<string> => cli.run('job', ...words)
function inputFile(input: unknown): string {
  const file = cli.file('input.json')
  writeFileSync(file, JSON.stringify(input))
  return file
}
const words = ['cat', 'dog', 'girl', 'boy']
const examples = words.flatMap((word) => [
  { text: `The ${word} was happy`, label: 1 },
  { text: `The ${word} was sad`, label: 0 },
])

describe('patchbay job', () => {
  it('runs a probe to its end, lists and shows it, and removes it', async () => {
    const file = inputFile({ examples, layers: [0, 2] })
    const text = await patchbay('start', 'probe', '--model', 'storyworld', '--input', file)
    expect(text).toMatch(/^\d{8}-\d{6}-[0-9a-f]{8} {2}done {2}Probe hook_resid_post with 8 texts/)
    expect(text).toMatch(/\n {4}0 {2}1\.000 {5}1\.000 {2}[01]\.\d{3}/)
    expect(text).toContain('probe.safetensors')
    const [id] = (await patchbay('list')).split(' ')
    expect(JSON.parse(await patchbay('show', id))).toMatchObject({ id, state: 'done', kind: 'probe' })
    await patchbay('remove', id)
    expect(await patchbay('list')).toBe('There are no jobs.')
  })

  it('fails with the job’s own error, and resumes a failed job', async () => {
    const file = inputFile({ examples: examples.filter(({ label }) => label === 1) })
    const one = { code: 'input.invalid', message: expect.stringMatching(/positive/) as string }
    await expect(patchbay('start', 'probe', '-m', 'storyworld', '-i', file)).rejects.toMatchObject(one)
    cli.printed()
    const listed = await patchbay('list')
    expect(listed).toContain('failed')
    await expect(patchbay('resume', listed.split(' ')[0])).rejects.toMatchObject(one)
  })

  it('refuses what is no JSON, an unknown kind and an unknown job', async () => {
    const file = cli.file('input.json')
    writeFileSync(file, '{')
    await expect(patchbay('start', 'probe', '-i', file)).rejects.toMatchObject({
      code: 'file.malformed',
      file,
    })
    await expect(patchbay('start', 'bake', '-i', inputFile({}))).rejects.toMatchObject({ field: 'kind' })
    await expect(patchbay('cancel', '20260101-000000-00000000')).rejects.toMatchObject({
      code: 'file.missing',
    })
    await expect(patchbay('cancel', '../elsewhere')).rejects.toMatchObject({ code: 'input.invalid' })
  })
})
