/** The real thing: SmolLM2's tokenizer from its GGUF file against Hugging Face's `tokenizers`, string by string. */
import { readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openGguf } from '../../../main/models/formats/gguf'
import { loadTokenizerFromGguf } from '../../../main/models/tokenizer'
import type { Tokenizer } from '../../../main/models/tokenizer'
import { origins } from './support/fixtures'

interface Case {
  text: string
  ids: number[]
  decoded: string
  decoded_without_specials: string
  /** the text of all ids but the last, which often ends inside a character */
  decoded_without_last: string
}

const cases = readFileSync(new URL('../../reference/cases/smollm2/tokenizer.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Case)

const models = process.env['PATCHBAY_MODELS']
const file =
  models === undefined
    ? undefined
    : readdirSync(models).find((name) => name.startsWith('SmolLM2-135M-Instruct') && name.endsWith('.gguf'))
const title =
  file === undefined
    ? 'SmolLM2 from GGUF (skipped: PATCHBAY_MODELS names no folder with SmolLM2-135M-Instruct)'
    : 'SmolLM2 from GGUF'

describe.skipIf(file === undefined)(title, () => {
  let tokenizer: Tokenizer
  beforeAll(async () => {
    const checkpoint = await openGguf(path.join(models!, file!))
    try {
      tokenizer = await loadTokenizerFromGguf(checkpoint.metadata)
    } finally {
      await checkpoint.close()
    }
  })
  afterAll(() => tokenizer.close())

  it('has 150 strings to agree on', () => {
    expect(cases).toHaveLength(150)
  })

  it('gives every string its ids, and every list of ids its text', async () => {
    for (const { text, ids, decoded, decoded_without_specials, decoded_without_last } of cases) {
      expect(await tokenizer.encode(text)).toEqual(ids)
      expect(await tokenizer.decode(ids)).toBe(decoded)
      expect(await tokenizer.decode(ids, { skipSpecialTokens: true })).toBe(decoded_without_specials)
      expect(await tokenizer.decode(ids.slice(0, -1))).toBe(decoded_without_last)
    }
  })

  it('streams every string without ever showing half a character', async () => {
    for (const { ids, decoded, decoded_without_last } of cases) {
      const stream = tokenizer.decodeStream()
      const parts = ids.map((id) => stream.push(id))
      expect(parts.join('') + stream.finish()).toBe(decoded)
      expect(parts.join('')).not.toContain('\uFFFD')
      const cut = tokenizer.decodeStream()
      expect(
        ids
          .slice(0, -1)
          .map((id) => cut.push(id))
          .join('') + cut.finish(),
      ).toBe(decoded_without_last)
    }
  })

  it('covers every string with its tokens', async () => {
    for (const { text } of cases.filter((each) => each.text !== '')) {
      const { tokens } = await tokenizer.encodePrompt({ kind: 'text', text, bos: 'model' })
      expect(tokens[0].start).toBe(0)
      expect(tokens.at(-1)!.end).toBe(text.length)
      tokens.slice(1).forEach(({ start }, index) => expect(start).toBeLessThanOrEqual(tokens[index].end!))
      for (const { start, end, text: own } of tokens)
        if (!own.includes('\uFFFD')) expect(text.slice(start!, end!)).toBe(own)
    }
  })

  it('follows the GGUF file about BOS, and names the file', async () => {
    expect(tokenizer).toMatchObject({ vocabSize: 49152, bosId: 1, eosIds: [2], hasChatTemplate: true })
    const prompt = await tokenizer.encodePrompt({ kind: 'text', text: 'Hi', bos: 'model' })
    expect(prompt.notes).toEqual([
      'No BOS token was added, because tokenizer.ggml.add_bos_token in the GGUF file says false.',
    ])
  })

  it('renders its chat template as transformers does', async () => {
    const prompt = await tokenizer.encodePrompt({
      kind: 'chat',
      messages: [{ role: 'user', content: 'user' }],
      addGenerationPrompt: true,
    })
    expect(prompt.rendered).toBe(
      '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' +
        '<|im_start|>user\nuser<|im_end|>\n<|im_start|>assistant\n',
    )
    // The role is the template's, the same word after it the person's.
    expect(origins(prompt.tokens).filter((each) => each.endsWith('user'))).toEqual(['template:user', 'user'])
  })
})
