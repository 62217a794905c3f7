/** The texts that a dictionary is trained on, out of any data file. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { rowsOfTexts } from '../../main/jobs/kinds/dictionary-texts'
import type { EncodedPrompt, PromptSpec } from '../../preload/prompt'
import { dictionaryInput, type DictionaryInput } from '../../preload/training'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-texts-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** A token a character. */
const model = {
  facts: { contextLength: 100 },
  encode: (prompt: PromptSpec): Promise<EncodedPrompt> => {
    // BOS is ^, a turn stands in brackets.
    const rendered =
      prompt.kind === 'text'
        ? `${prompt.bos === 'always' ? '^' : ''}${prompt.text}`
        : prompt.messages.map(({ role, content }) => `<${role}:${content}>`).join('')
    const tokens = Array.from(rendered, (text, start) => ({
      id: text.charCodeAt(0),
      piece: text,
      text,
      special: false,
      origin: 'text' as const,
      start,
      end: start + 1,
    }))
    return Promise.resolve({ tokens, rendered, notes: [] })
  },
}

async function textsOf(
  name: string,
  content: string,
  prompting: Partial<Pick<DictionaryInput, 'bos' | 'template'>> = {},
): Promise<string[]> {
  const file = path.join(folder, name)
  writeFileSync(file, content)
  const input = dictionaryInput.parse({
    model: { location: { kind: 'embedded' } },
    hook: 'hook_embed',
    texts: { kind: 'file', path: file },
    dSae: 1,
    steps: 1,
    ...prompting,
  })
  const { training, heldOut } = await rowsOfTexts(model, input, folder, new AbortController().signal)
  return [...training, ...heldOut].map((ids) => String.fromCharCode(...ids))
}

describe('texts of a dictionary', () => {
  it.each([
    ['a text a line', 'a.txt', 'the cat\n\nthe dog\n'],
    ['JSON strings and objects', 'a.jsonl', '"the cat"\n{"text":"the dog"}\n'],
    ['the column `text` of a table', 'a.csv', 'note,text\nsome longer words,the cat\nmore of them,the dog\n'],
    ['the column that looks like it', 'a.tsv', 'n\tsentence\n1\tthe cat\n2\tthe dog\n'],
  ])('are read from %s', async (_, name, content) => {
    expect(await textsOf(name, content)).toEqual(['the cat', 'the dog'])
  })

  it.each([
    ['a row without a text', 'a.jsonl', '"the cat"\n{"n":1}\n', { code: 'file.malformed', field: 'row 1' }],
    [
      'a line that is no JSON',
      'a.jsonl',
      '"the cat"\nthe dog\n',
      { code: 'file.malformed', field: 'line 2' },
    ],
    ['no texts at all', 'a.jsonl', '{"n":1}\n{"n":2}\n', { code: 'input.invalid' }],
    ['an empty file', 'a.txt', '', { code: 'input.invalid', field: 'texts' }],
  ])('are refused where there is %s', async (_, name, content, error) => {
    await expect(textsOf(name, content)).rejects.toMatchObject(error)
  })

  it('begin with BOS where that is asked for, also behind a stretch of the model’s context', async () => {
    const long = 'a'.repeat(150)
    expect(await textsOf('a.txt', `the cat\n${long}\n`, { bos: 'always' })).toEqual([
      '^the cat',
      `^${'a'.repeat(99)}`,
      `^${'a'.repeat(50)}`,
    ])
  })

  it('are turns of a chat where the template is asked for', async () => {
    expect(await textsOf('a.txt', 'the cat\nthe dog\n', { template: 'chat' })).toEqual([
      '<user:the cat>',
      '<user:the dog>',
    ])
  })

  it('are the same ones when the job goes on, also where the file has changed', async () => {
    const before = await textsOf('a.txt', 'the cat\nthe dog\n')
    expect(await textsOf('a.txt', 'other words\nand more\n')).toEqual(before)
  })
})
