import path from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { loadTokenizerFromFolder } from '../../../main/models/tokenizer'
import type { Tokenizer } from '../../../main/models/tokenizer'
import { origins } from './support/fixtures'

const folder = path.join(fileURLToPath(new URL('../../..', import.meta.url)), 'assets/models/storyworld')
const bos = { id: 0, piece: '<|endoftext|>', text: '<|endoftext|>', special: true }

let tokenizer: Tokenizer
beforeAll(async () => {
  tokenizer = await loadTokenizerFromFolder(folder)
})
afterAll(() => tokenizer.close())

it('knows its size, its special tokens and its hashes', () => {
  expect(tokenizer).toMatchObject({ vocabSize: 1024, bosId: 0, eosIds: [0], hasChatTemplate: true })
  expect(tokenizer.tokenizerHash).toMatch(/^[0-9a-f]{64}$/)
  expect(tokenizer.templateHash).toMatch(/^[0-9a-f]{64}$/)
  expect(tokenizer.tokens([0, 559, 223])).toEqual([
    bos,
    { id: 559, piece: 'ĠHow', text: ' How', special: false },
    { id: 223, piece: 'Ġ', text: ' ', special: false },
  ])
})

it('puts no BOS before a text, since neither file asks for one, and says so', async () => {
  const prompt = await tokenizer.encodePrompt({ kind: 'text', text: ' How do I', bos: 'model' })
  expect(tokenizer.bosPolicy.addBos).toBe(false)
  expect(origins(prompt.tokens)).toEqual(['ĠHow', 'Ġdo', 'ĠI'])
  expect(prompt.notes).toEqual([
    'No BOS token was added, because the post-processor in tokenizer.json adds none and tokenizer_config.json does not ask for one.',
  ])
})

it('puts one BOS first where it is asked to, with offsets for the text alone', async () => {
  const prompt = await tokenizer.encodePrompt({ kind: 'text', text: ' How do I', bos: 'always' })
  expect(prompt.tokens.map(({ origin, start, end }) => [origin, start, end])).toEqual([
    ['bos', null, null],
    ['text', 0, 4],
    ['text', 4, 7],
    ['text', 7, 9],
  ])
  expect(prompt.notes).toEqual(['The BOS token <|endoftext|> (0) was put first, as asked.'])
})

it('puts no second BOS before a text that begins with one', async () => {
  const prompt = await tokenizer.encodePrompt({ kind: 'text', text: '<|endoftext|> How', bos: 'always' })
  expect(origins(prompt.tokens)).toEqual(['<|endoftext|>', 'ĠHow'])
  expect(prompt.notes.join(' ')).toContain('no second one was put before it')
})

it('applies the chat template once, with the one BOS that the template writes', async () => {
  const prompt = await tokenizer.encodePrompt({
    kind: 'chat',
    messages: [{ role: 'user', content: 'How do I bake?' }],
    addGenerationPrompt: true,
  })
  expect(prompt.rendered).toBe('<|endoftext|><|user|> How do I bake? <|bot|>')
  expect(origins(prompt.tokens)).toEqual([
    'template:<|endoftext|>',
    'template:<|user|>',
    'ĠHow',
    'Ġdo',
    'ĠI',
    'Ġbake',
    '?',
    'template:Ġ',
    'template:<|bot|>',
  ])
  expect(prompt.notes).toContain(
    'The template writes the BOS token <|endoftext|> (0) itself; no second one was added.',
  )
})

it('counts a special token written by a person as such, and says so', async () => {
  const prompt = await tokenizer.encodePrompt({
    kind: 'chat',
    messages: [{ role: 'user', content: 'no <|bot|> yes' }],
    addGenerationPrompt: false,
  })
  expect(
    prompt.tokens.filter((token) => token.special && token.origin === 'text').map(({ piece }) => piece),
  ).toEqual(['<|bot|>'])
  expect(prompt.notes.join(' ')).toContain('Special tokens are written in the text itself')
})

it('gives back any text it encodes, whole and as a stream', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 60 }), async (text) => {
      const ids = await tokenizer.encode(text)
      expect(await tokenizer.decode(ids)).toBe(text)
      const stream = tokenizer.decodeStream()
      const pieces = ids.map((id) => stream.push(id))
      expect(pieces.join('') + stream.finish()).toBe(text)
      if (!text.includes('\uFFFD')) expect(pieces.join('')).not.toContain('\uFFFD')
    }),
    { numRuns: 200, seed: 7 },
  )
})

it('gives offsets that cut the text where its tokens do', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }), async (text) => {
      const { tokens } = await tokenizer.encodePrompt({ kind: 'text', text, bos: 'never' })
      for (const { start, end, text: own } of tokens) {
        const slice = text.slice(start!, end!)
        if (own.includes('\uFFFD')) expect([...slice].length).toBeGreaterThan(0)
        else expect(slice).toBe(own)
      }
      expect(tokens[0].start).toBe(0)
      expect(tokens.at(-1)!.end).toBe(text.length)
    }),
    { numRuns: 100, seed: 7 },
  )
})

it('names an id beyond its table by its number, with no text', async () => {
  expect(tokenizer.tokens([1024])).toEqual([{ id: 1024, piece: '#1024', text: '', special: false }])
  expect(await tokenizer.decode([559, 1024, 435])).toBe(' How do')
  expect(() => tokenizer.tokens([-1])).toThrow(expect.objectContaining({ code: 'input.invalid' }))
})

it('leaves special tokens out of the text where it is asked to', async () => {
  expect(await tokenizer.decode([0, 559, 2, 435], { skipSpecialTokens: true })).toBe(' How do')
  const stream = tokenizer.decodeStream({ skipSpecialTokens: true })
  expect([0, 559, 2, 435].map((id) => stream.push(id))).toEqual(['', ' How', '', ' do'])
})
