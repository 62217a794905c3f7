/** Difficult text: it comes back as it was, or is refused with a sentence. */
import { describe, expect, it } from 'vitest'
import type { PromptSpec } from '../../../preload/prompt'
import { tokenizerFromIds } from '../../../main/models/tokenizer'
import { planDecoder } from '../../../main/models/tokenizer/decode-plan'
import { Detokenizer } from '../../../main/models/tokenizer/detokenizer'
import { locate } from '../../../main/models/tokenizer/offsets'
import { byteLevelJson, fromJson, ggufMetadata, fromGguf } from './support/fixtures'

/** For texts of a million characters on a busy machine. */
const patient = { timeLimitMs: 50_000 }

describe('text', () => {
  it.each([
    ['NUL', 'a\u0000b'],
    ['bidi controls', '\u202Eabc\u202C\u2066x\u2069'],
    ['an emoji of seven code points', '👩‍❤️‍💋‍👨!'],
    ['a BOM', '\uFEFFa\uFEFF'],
    ['U+FFFD itself', 'a\uFFFDb'],
    ['every control', String.fromCharCode(...Array(32).keys(), 127, 128, 133, 159)],
    ['HTML', '<img src=x onerror=alert(1)>'],
    ['a word of a million characters', 'ab'.repeat(500_000)],
    ['a million separate words', 'a '.repeat(500_000)],
  ])('with %s comes back as it was', async (_, text) => {
    const tokenizer = await fromJson(byteLevelJson(['a b', 'ab ab', 'abab abab']), patient)
    expect(await tokenizer.decode(await tokenizer.encode(text))).toBe(text)
  })

  it.each([
    ['a', '\uD800'],
    ['b', 'x\uDC00y'],
    ['c', '\uDC00\uD800'],
  ])('with half a surrogate pair is refused (%s)', async (_, text) => {
    const tokenizer = await fromJson(byteLevelJson())
    const refused = { code: 'input.invalid', offset: text.search(/\p{Cs}/u) }
    await expect(tokenizer.encode(text)).rejects.toMatchObject(refused)
    await expect(tokenizer.encodePrompt({ kind: 'text', text, bos: 'model' })).rejects.toMatchObject(refused)
  })

  it('longer than four million characters is refused', async () => {
    const tokenizer = await fromJson(byteLevelJson())
    await expect(tokenizer.encode('a'.repeat(4_194_305))).rejects.toMatchObject({ code: 'input.invalid' })
  })

  it('without a token for some of it is refused rather than shortened', async () => {
    const tokenizer = await fromGguf(
      ggufMetadata({ tokens: ['a', 'b', 'Ġ'], merges: [], plain: { model: 'gpt2', pre: 'gpt-2' } }),
    )
    expect(await tokenizer.encode('a b')).toEqual([0, 2, 1])
    await expect(tokenizer.encode('a é')).rejects.toMatchObject({ code: 'input.invalid' })
  })

  it('that is empty makes no prompt, unless a BOS is put there', async () => {
    const json = byteLevelJson()
    const tokenizer = await fromJson(json)
    await expect(tokenizer.encodePrompt({ kind: 'text', text: '', bos: 'model' })).rejects.toMatchObject({
      code: 'prompt.empty',
    })
    expect(await tokenizer.encode('')).toEqual([])
    expect(await tokenizer.decode([])).toBe('')
  })

  it('takes a token of a million characters', async () => {
    const json = byteLevelJson()
    json.added_tokens.push({ id: 258, content: 'x'.repeat(1_000_000), special: false, normalized: false })
    const tokenizer = await fromJson(json, patient)
    expect(await tokenizer.encode('a' + 'x'.repeat(1_000_000) + 'b')).toEqual([97, 258, 98])
    expect(tokenizer.tokens([258])[0].text).toHaveLength(1_000_000)
  })
})

describe('decoding', () => {
  const detokenizer = (pieces: string[], decoder: unknown, special: number[] = []) =>
    new Detokenizer(pieces, new Set(special), planDecoder(decoder))

  const llama = {
    type: 'Sequence',
    decoders: [
      { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
      { type: 'ByteFallback' },
      { type: 'Fuse' },
      { type: 'Strip', content: ' ', start: 1, stop: 0 },
    ],
  }

  it('joins byte tokens to characters, and gives one U+FFFD a byte where they make none', () => {
    const pieces = ['▁a', '<0xE2>', '<0x82>', '<0xAC>', 'b']
    const decode = (...ids: number[]) => detokenizer(pieces, llama).decode(ids)
    expect(decode(0, 1, 2, 3, 4)).toBe('a€b')
    expect(decode(1, 2)).toBe('\uFFFD\uFFFD')
    expect(decode(1, 2, 4, 3)).toBe('\uFFFD\uFFFDb\uFFFD')
    expect(decode(4, 0, 0)).toBe('b a a')
    // Ids that stand for nothing do not come between two bytes.
    expect(detokenizer(pieces, llama, [0]).decode([1, 0, 2, 99, 3], { skipSpecialTokens: true })).toBe('€')
  })

  it('waits for the rest of a character in a stream', () => {
    const stream = detokenizer(['▁a', '<0xE2>', '<0x82>', '<0xAC>'], llama).stream()
    expect([0, 1, 2, 3, 0, 1].map((id) => stream.push(id))).toEqual(['a', '', '', '€', ' a', ''])
    expect(stream.finish()).toBe('\uFFFD')
  })

  it('names the text of a byte token, or that it has none alone', () => {
    const bytes = detokenizer(['<0xE2>', '<0x41>', '▁a'], llama)
    expect([0, 1, 2].map((id) => bytes.info(id).text)).toEqual(['\uFFFD', 'A', ' a'])
  })

  it('joins WordPiece and Metaspace pieces to words', () => {
    const wordPiece = { type: 'WordPiece', prefix: '##', cleanup: true }
    expect(detokenizer(['un', '##able', 'to', '.'], wordPiece).decode([0, 1, 2, 3])).toBe('unable to.')
    expect(detokenizer(['▁a', '▁b'], { type: 'Metaspace' }).decode([0, 1])).toBe('a b')
    expect(detokenizer(['▁a', '▁b'], { type: 'Metaspace', prepend_scheme: 'never' }).decode([0, 1])).toBe(
      ' a b',
    )
    expect(detokenizer(['a', 'b'], null).decode([0, 1])).toBe('a b')
    const strip = { type: 'Strip', content: '_', start: 1, stop: 2 }
    expect(detokenizer(['__a___'], strip).decode([0])).toBe('_a_')
  })

  it('keeps an added token with a space in byte-level text', () => {
    expect(detokenizer(['Ġa', '<my token>'], { type: 'ByteLevel' }).decode([0, 1])).toBe(' a<my token>')
  })

  it('refuses decoders that can not go token by token, by name', () => {
    const regex = { type: 'Replace', pattern: { Regex: 'a+' }, content: '' }
    expect(() => planDecoder(regex)).toThrow(expect.objectContaining({ code: 'tokenizer.unsupported' }))
    const end = {
      type: 'Sequence',
      decoders: [{ type: 'Fuse' }, { type: 'Strip', content: ' ', start: 0, stop: 1 }],
    }
    expect(() => planDecoder(end)).toThrow(expect.objectContaining({ code: 'tokenizer.unsupported' }))
  })
})

describe('offsets', () => {
  const place = (text: string, ...tokens: (string | number[])[]) =>
    locate(
      text,
      tokens.map((token) => (typeof token === 'string' ? Buffer.from(token) : Uint8Array.from(token))),
    ).map((span) => (span === null ? null : [span.start, span.end]))

  it('let a token inside a character span the character', () => {
    expect(place('a👍b', 'a', [0xf0, 0x9f], [0x91, 0x8d], 'b')).toEqual([
      [0, 1],
      [1, 3],
      [1, 3],
      [3, 4],
    ])
  })

  it('pass over white space that a token swallowed, and a space that was never there', () => {
    expect(place('a   <s>b', ' a', '<s>', 'b')).toEqual([
      [0, 1],
      [4, 7],
      [7, 8],
    ])
  })

  it('are null for a token that is not in the text, and right again after it', () => {
    expect(place('ÀB', 'a', 'B', '')).toEqual([null, [1, 2], null])
  })
})

describe('a model without a tokenizer', () => {
  const ids = tokenizerFromIds(100)

  it('reads a prompt as token ids and says so', async () => {
    const prompt = await ids.encodePrompt({ kind: 'text', text: ' 12 5,99\n', bos: 'model' })
    expect(prompt.tokens.map(({ id, piece, start, end }) => [id, piece, start, end])).toEqual([
      [12, '#12', 1, 3],
      [5, '#5', 4, 5],
      [99, '#99', 6, 8],
    ])
    expect(prompt.notes).toEqual(['This model has no tokenizer: the prompt is read as token ids.'])
    expect(await ids.decode([12, 5])).toBe('12 5')
    const stream = ids.decodeStream()
    expect([12, 5].map((id) => stream.push(id)).join('') + stream.finish()).toBe('12 5')
  })

  it.each(['100', '-1', 'x', '1.5', '1e1', '99999999999999999999'])('refuses %s', async (text) => {
    await expect(ids.encode(text)).rejects.toMatchObject({ code: 'input.invalid' })
  })

  it('has neither an empty prompt nor a chat', async () => {
    await expect(ids.encodePrompt({ kind: 'text', text: ' ', bos: 'always' })).rejects.toMatchObject({
      code: 'prompt.empty',
    })
    const chat: PromptSpec = {
      kind: 'chat',
      messages: [{ role: 'user', content: '1' }],
      addGenerationPrompt: true,
    }
    await expect(ids.encodePrompt(chat)).rejects.toMatchObject({ code: 'template.failed' })
  })
})
