/** SentencePiece BPE from GGUF against SentencePiece's own rule, and the library's models behind the same door. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createEncoder } from '../../../main/models/tokenizer/encoding/encoder'
import { definitionFromGguf } from '../../../main/models/tokenizer/sources/from-gguf'
import { ggufFields } from '../../../main/models/tokenizer/sources/gguf-fields'
import { fromGguf, fromJson, ggufMetadata } from './support/fixtures'

const bytes = Array.from(
  { length: 256 },
  (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
)

/** <unk>, <s>, </s>, the bytes, then single characters and words with falling scores. */
function metadata(words: readonly string[], extra: Record<string, string | boolean> = {}) {
  const tokens = ['<unk>', '<s>', '</s>', ...bytes, ...new Set([...'▁abc', ...words])]
  return ggufMetadata({
    tokens,
    token_type: tokens.map((_, id) => (id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1)),
    scores: tokens.map((_, id) => -id),
    plain: { model: 'llama', ...extra },
  })
}

/** SentencePiece's rule as its paper has it: join the two neighbours whose joined piece scores best, leftmost first. */
function naive(words: readonly string[], text: string): string[] {
  const vocab = [...new Set([...'▁abc', ...words])]
  return joined(vocab, text)
}

/** @param vocab pieces by falling score */
function joined(vocab: readonly string[], text: string): string[] {
  const ranks = new Map(vocab.map((piece, rank) => [piece, rank]))
  const parts = [...`▁${text.replaceAll(' ', '▁')}`]
  for (;;) {
    let best = -1
    let rank = Infinity
    for (let i = 0; i + 1 < parts.length; i++) {
      const at = ranks.get(parts[i] + parts[i + 1]) ?? Infinity
      if (at < rank) [best, rank] = [i, at]
    }
    if (best < 0) return parts
    parts.splice(best, 2, parts[best] + parts[best + 1])
  }
}

describe('SentencePiece BPE', () => {
  it('joins pieces as the scores say, for any vocabulary and any text', () => {
    const word = fc.string({ unit: fc.constantFrom('▁', 'a', 'b', 'c'), minLength: 2, maxLength: 4 })
    const text = fc.string({ unit: fc.constantFrom(' ', 'a', 'b', 'c'), minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(fc.array(word, { maxLength: 25 }), text, (words, sample) => {
        const fields = ggufFields(metadata(words))
        const encoder = createEncoder(definitionFromGguf(fields))
        expect(encoder.encode(sample).map((id) => fields.tokens[id])).toEqual(naive(words, sample))
      }),
      { numRuns: 400, seed: 5 },
    )
  })

  it('puts BOS first and a space before the text, and takes the space back when decoding', async () => {
    const tokenizer = await fromGguf(metadata(['▁a', 'bc']))
    const prompt = await tokenizer.encodePrompt({ kind: 'text', text: 'a bc', bos: 'model' })
    expect(prompt.tokens.map(({ piece, start, end }) => [piece, start, end])).toEqual([
      ['<s>', null, null],
      ['▁a', 0, 1],
      ['▁', 1, 2],
      ['bc', 2, 4],
    ])
    expect(await tokenizer.decode(await tokenizer.encode('a bc'))).toBe('a bc')
    expect(prompt.notes).toHaveLength(1)
  })

  it('puts no space before the text where the file says so', async () => {
    const tokenizer = await fromGguf(metadata([], { add_space_prefix: false, add_bos_token: false }))
    const ids = await tokenizer.encode(' a')
    expect(tokenizer.tokens(ids).map(({ piece }) => piece)).toEqual(['▁', 'a'])
    expect(await tokenizer.decode(ids)).toBe(' a')
  })

  it('writes what it has no piece for as bytes, and comes back to it', async () => {
    const tokenizer = await fromGguf(metadata(['ab']))
    const text = 'ab€👍\n\u0000 x'
    expect(await tokenizer.decode(await tokenizer.encode(text))).toBe(text)
    expect(tokenizer.tokens(await tokenizer.encode('€')).map(({ piece }) => piece)).toEqual([
      '▁',
      '<0xE2>',
      '<0x82>',
      '<0xAC>',
    ])
  })
})

/** Text as vocabularies are trained on: several scripts, numbers, code. */
const corpus = `
The quick brown fox jumps over the lazy dog, and the other dogs then jump over the fox. In the beginning the model
predicts nothing; after ten thousand steps it predicts the next token. Der schnelle braune Fuchs springt über den faulen
Hund. Привет, мир! Как дела? 今天天气很好,我们去公园。 for (let i = 0; i < 10; i++) { total += values[i] * 3.14 } // 2024-01-15
The theory of the other thing is that there then was another, and that the others were there with them.`

/** Characters and the pairs that training by frequency joins, in that order: SentencePiece's vocabulary for BPE. */
function trained(text: string, size: number): string[] {
  const words = text.split(/\s+/).map((word) => [...`▁${word}`])
  const pieces = [...new Set(words.flat())]
  while (pieces.length < size) {
    const counts = new Map<string, number>()
    for (const word of words)
      for (let i = 0; i + 1 < word.length; i++)
        counts.set(word[i] + word[i + 1], (counts.get(word[i] + word[i + 1]) ?? 0) + 1)
    const [best] = [...counts].sort(([, a], [, b]) => b - a)[0]
    pieces.push(best)
    for (const word of words)
      for (let i = 0; i + 1 < word.length; i++) if (word[i] + word[i + 1] === best) word.splice(i, 2, best)
  }
  return [...new Set(pieces)]
}

describe('a SentencePiece vocabulary that was trained on text', () => {
  const pieces = trained(corpus, 260)
  // Scores fall with the pieces that were joined later; characters come last, as SentencePiece writes them.
  const characters = pieces.filter((piece) => [...piece].length === 1)
  const merged = pieces.filter((piece) => [...piece].length > 1)
  const tokens = ['<unk>', '<s>', '</s>', ...bytes, ...merged, ...characters]
  const trainedMetadata = ggufMetadata({
    tokens,
    token_type: tokens.map((_, id) => (id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1)),
    scores: tokens.map((_, id) => (id < 259 ? 0 : 259 - id)),
    plain: { model: 'llama' },
  })
  const word = fc.constantFrom(...corpus.split(/\s+/).filter((each) => each !== ''))
  const phrase = fc.array(word, { minLength: 1, maxLength: 12 }).map((words) => words.join(' '))

  it('is used as its rule says on text like that', async () => {
    const tokenizer = await fromGguf(trainedMetadata)
    await fc.assert(
      fc.asyncProperty(phrase, async (text) => {
        const ids = await tokenizer.encode(text)
        expect(ids.map((id) => tokens[id])).toEqual(joined([...merged, ...characters], text))
      }),
      { numRuns: 100, seed: 7 },
    )
  })

  it('gives back any text, whatever it is written in', async () => {
    const tokenizer = await fromGguf(trainedMetadata)
    // The mark for a space stands for a space, also where a text has it.
    const any = fc.string({ unit: 'binary', maxLength: 40 }).filter((text) => !text.includes('▁'))
    const text = fc.oneof(
      phrase,
      any,
      fc.tuple(phrase, any, phrase).map((parts) => parts.join(' ')),
    )
    await fc.assert(
      fc.asyncProperty(text, async (sample) => {
        expect(await tokenizer.decode(await tokenizer.encode(sample))).toBe(sample)
      }),
      { numRuns: 300, seed: 11 },
    )
  })
})

describe('other models', () => {
  it('cuts words by WordPiece', async () => {
    const pieces = ['[UNK]', '[CLS]', '[SEP]', 'un', '##able', '##a', 'to', '.']
    const tokenizer = await fromJson({
      normalizer: { type: 'BertNormalizer', lowercase: true, clean_text: true, handle_chinese_chars: true },
      pre_tokenizer: { type: 'BertPreTokenizer' },
      post_processor: { type: 'BertProcessing', cls: ['[CLS]', 1], sep: ['[SEP]', 2] },
      decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
      model: {
        type: 'WordPiece',
        unk_token: '[UNK]',
        vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
      },
    })
    expect(await tokenizer.encode('Unable to. xyz', { addSpecialTokens: true })).toEqual([
      1, 3, 4, 6, 7, 0, 2,
    ])
    expect(await tokenizer.decode([3, 4, 6, 7])).toBe('unable to.')
    const { notes } = await tokenizer.encodePrompt({ kind: 'text', text: 'Unable', bos: 'model' })
    expect(notes.join(' ')).toContain('does not give the text back exactly')
  })

  it('takes the most probable pieces of a Unigram model', async () => {
    const tokenizer = await fromJson({
      normalizer: null,
      pre_tokenizer: { type: 'Metaspace' },
      decoder: { type: 'Metaspace' },
      model: {
        type: 'Unigram',
        unk_id: 0,
        vocab: [
          ['<unk>', 0],
          ['▁', -2],
          ['a', -3],
          ['b', -3],
          ['▁a', -4],
          ['ab', -3.5],
          ['▁ab', -7],
        ],
      },
    })
    expect(await tokenizer.encode('ab')).toEqual([1, 5])
    expect(await tokenizer.encode('a zz')).toEqual([4, 1, 0])
    expect(await tokenizer.decode([1, 5, 4])).toBe('ab a')
  })
})
