/** The parts that cut text into tokens, each against a plain statement of what it should do. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { BpeDefinition } from '../../../main/models/tokenizer/definition'
import { AddedTokenFinder } from '../../../main/models/tokenizer/encoding/added-tokens'
import { Bpe } from '../../../main/models/tokenizer/encoding/bpe'
import { createNormalizer } from '../../../main/models/tokenizer/encoding/normalizer'
import { createPreTokenizer } from '../../../main/models/tokenizer/encoding/pre-tokenizer'
import { split } from '../../../main/models/tokenizer/encoding/split'
import { preTypeNames, preTypeOf } from '../../../main/models/tokenizer/sources/pre-types'

function definition(
  alphabet: string,
  merges: readonly string[],
  extra: Partial<BpeDefinition> = {},
): BpeDefinition {
  const pieces = [...alphabet, ...new Set(merges.map((merge) => merge.replace(' ', '')))]
  const vocab = new Map([...new Set(pieces)].map((piece, id) => [piece, id]))
  const ids = merges.flatMap((merge) => {
    const [left, right] = merge.split(' ') as [string, string]
    return [left, right, left + right].map((piece) => vocab.get(piece)!)
  })
  return {
    kind: 'bpe',
    vocab,
    merges: Int32Array.from(ids),
    unknown: null,
    fuseUnknown: false,
    byteFallback: false,
    ignoreMerges: false,
    continuingPrefix: '',
    endSuffix: '',
    ...extra,
  }
}

const pieces = (bpe: BpeDefinition, word: string): string[] => {
  const names = [...bpe.vocab.keys()]
  return new Bpe(bpe).encode(word).map((id) => names[id])
}

/** Byte-pair encoding as the paper says it: merge the first pair of lowest rank, and begin again. */
function naive(merges: readonly string[], word: string): string[] {
  const parts = [...word]
  for (;;) {
    let best = -1
    for (let i = 0; i + 1 < parts.length; i++) {
      const rank = merges.indexOf(`${parts[i]} ${parts[i + 1]}`)
      if (rank < 0) continue
      if (best < 0 || rank < merges.indexOf(`${parts[best]} ${parts[best + 1]}`)) best = i
    }
    if (best < 0) return parts
    parts.splice(best, 2, parts[best] + parts[best + 1])
  }
}

describe('byte-pair encoding', () => {
  const grown = fc.array(fc.tuple(fc.nat(1000), fc.nat(1000)), { maxLength: 14 }).map((picks) => {
    const known = ['a', 'b', 'c']
    const merges: string[] = []
    for (const [left, right] of picks) {
      const merge = `${known[left % known.length]} ${known[right % known.length]}`
      if (merges.includes(merge)) continue
      merges.push(merge)
      known.push(merge.replace(' ', ''))
    }
    return merges
  })

  it('merges as the naive algorithm does, for any merges and any word', () => {
    fc.assert(
      fc.property(
        grown,
        fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 40 }),
        (merges, word) => {
          expect(pieces(definition('abc', merges), word)).toEqual(naive(merges, word))
        },
      ),
      { numRuns: 400, seed: 11 },
    )
  })

  it('takes a word of a million characters', () => {
    const bpe = new Bpe(definition('ab', ['a b', 'ab ab', 'abab abab']))
    expect(bpe.encode('ab'.repeat(500_000))).toHaveLength(125_000)
  })

  it('leaves a word that is a token whole where merges are to be ignored', () => {
    const bpe = definition('abc', ['a b', 'ab c', 'b c'])
    expect(pieces({ ...bpe, ignoreMerges: true }, 'bc')).toEqual(['bc'])
    expect(pieces({ ...definition('abc', ['a b', 'b c', 'a bc']), ignoreMerges: true }, 'abc')).toEqual([
      'abc',
    ])
    expect(pieces(definition('abc', ['a b', 'b c', 'a bc']), 'abc')).toEqual(['ab', 'c'])
  })

  it('writes an unknown character as its bytes, as the unknown token, or not at all', () => {
    const bytes = ['<0xC3>', '<0xA9>']
    const withBytes = definition('ab', [])
    const vocab = new Map([...withBytes.vocab, ['<0xC3>', 2], ['<0xA9>', 3], ['<unk>', 4]])
    expect(pieces({ ...withBytes, vocab, byteFallback: true }, 'aé')).toEqual(['a', ...bytes])
    expect(pieces({ ...withBytes, vocab, unknown: '<unk>' }, 'éèa')).toEqual(['<unk>', '<unk>', 'a'])
    expect(pieces({ ...withBytes, vocab, unknown: '<unk>', fuseUnknown: true }, 'éèaé')).toEqual([
      '<unk>',
      'a',
      '<unk>',
    ])
    expect(pieces(withBytes, 'éa')).toEqual(['a'])
  })

  it('marks the end and the inside of a word where the file asks for it', () => {
    const vocab = new Map(['a', 'b', 'b</w>', '##b', '##b</w>'].map((piece, id) => [piece, id]))
    expect(pieces({ ...definition('', []), vocab, endSuffix: '</w>' }, 'abb')).toEqual(['a', 'b', 'b</w>'])
    expect(pieces({ ...definition('', []), vocab, continuingPrefix: '##' }, 'abb')).toEqual([
      'a',
      '##b',
      '##b',
    ])
  })
})

describe('splitting at matches', () => {
  const text = 'the-final--countdown'
  const dash = /-/gu
  // The examples of Hugging Face's documentation of SplitDelimiterBehavior.
  it.each([
    ['Removed', ['the', 'final', 'countdown']],
    ['Isolated', ['the', '-', 'final', '-', '-', 'countdown']],
    ['MergedWithPrevious', ['the-', 'final-', '-', 'countdown']],
    ['MergedWithNext', ['the', '-final', '-', '-countdown']],
    ['Contiguous', ['the', '-', 'final', '--', 'countdown']],
  ] as const)('%s', (behavior, expected) => {
    expect(split(text, dash, behavior)).toEqual(expected)
  })

  it('takes matches for gaps and gaps for matches where inverted', () => {
    expect(split('ab12c', /\d+/gu, 'Removed', true)).toEqual(['12'])
    expect(split('ab12c', /\d+/gu, 'Isolated', true)).toEqual(['ab', '12', 'c'])
  })
})

describe('pre-tokenizers', () => {
  const words = (config: unknown, text: string, atStart = true) => createPreTokenizer(config)([text], atStart)

  it('counts every Unicode number as a digit', () => {
    expect(words({ type: 'Digits', individual_digits: true }, 'x१२½')).toEqual(['x', '१', '२', '½'])
    expect(words({ type: 'Digits', individual_digits: false }, 'x१२½y')).toEqual(['x', '१२½', 'y'])
  })

  it('takes white space from Unicode and not from JavaScript', () => {
    const gpt2 = { type: 'ByteLevel', add_prefix_space: false }
    // U+0085 is white space and U+FEFF is not; JavaScript's \s has it the other way round.
    expect(words(gpt2, 'a\u0085b')).toEqual(['a', 'Âħ', 'b'])
    expect(words(gpt2, '!\uFEFF!')).toEqual(['!ï»¿!'])
    expect(words({ type: 'WhitespaceSplit' }, 'a\u0085b\uFEFFc')).toEqual(['a', 'b\uFEFFc'])
  })

  it('cuts words of any script for Whitespace, and punctuation as asked', () => {
    expect(words({ type: 'Whitespace' }, 'Ünï-cödé, ja!')).toEqual(['Ünï', '-', 'cödé', ',', 'ja', '!'])
    expect(words({ type: 'Punctuation' }, 'a!!b')).toEqual(['a', '!', '!', 'b'])
    expect(words({ type: 'Punctuation', behavior: 'Contiguous' }, 'a!!b$')).toEqual(['a', '!!', 'b', '$'])
    expect(words({ type: 'BertPreTokenizer' }, ' a b.')).toEqual(['a', 'b', '.'])
    expect(words({ type: 'CharDelimiterSplit', delimiter: '.' }, 'a.b')).toEqual(['a', 'b'])
  })

  it('puts a space before each text for add_prefix_space', () => {
    expect(words({ type: 'ByteLevel', add_prefix_space: true }, 'a b')).toEqual(['Ġa', 'Ġb'])
  })

  it('marks spaces for Metaspace by its scheme, old and new', () => {
    expect(words({ type: 'Metaspace' }, 'a b')).toEqual(['▁a', '▁b'])
    expect(words({ type: 'Metaspace', prepend_scheme: 'first', split: false }, 'a b')).toEqual(['▁a▁b'])
    expect(words({ type: 'Metaspace', prepend_scheme: 'first', split: false }, 'a b', false)).toEqual(['a▁b'])
    expect(words({ type: 'Metaspace', prepend_scheme: 'never' }, 'a b')).toEqual(['a', '▁b'])
    expect(words({ type: 'Metaspace', add_prefix_space: false }, 'a b')).toEqual(['a', '▁b'])
  })

  it('keeps captured groups and literal patterns out of the words', () => {
    const removed = { type: 'Split', behavior: 'Removed' }
    expect(words({ ...removed, pattern: { Regex: '(,)|(;)' } }, 'a,b;c')).toEqual(['a', 'b', 'c'])
    expect(words({ ...removed, pattern: { String: '.-*' } }, 'a.-*b.c-d*')).toEqual(['a', 'b.c-d*'])
  })

  it('cuts as each GGUF pre-tokenizer type says', () => {
    const cut = (name: string, text: string) =>
      preTypeOf(name)!.patterns.reduce(
        (parts, pattern) =>
          createPreTokenizer({ type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated' })(
            parts,
            true,
          ),
        [text],
      )
    expect(cut('gpt-2', "It's 1234  x")).toEqual(['It', "'s", ' 1234', ' ', ' x'])
    expect(cut('smollm', 'a 12½')).toEqual(['a', ' ', '1', '2', '½'])
    expect(cut('llama-bpe', "IT'S 1234\n\nx")).toEqual(['IT', "'S", ' ', '123', '4', '\n\n', 'x'])
    expect(cut('qwen2', "IT'S 1234")).toEqual(['IT', "'S", ' ', '1', '2', '3', '4'])
    expect(cut('falcon', 'a,b 1234')).toEqual(['a', ',', 'b', ' ', '123', '4'])
    expect(cut('gpt-4o', "HelloWorld it's 1234/")).toEqual(['Hello', 'World', " it's", ' ', '123', '4', '/'])
    expect(cut('tekken', 'HelloWorld 12')).toEqual(['Hello', 'World', ' ', '1', '2'])
    expect(cut('deepseek-v3', '1234漢字 a_b')).toEqual(['123', '4', '漢字', ' a', '_b'])
    expect(cut('bloom', 'a, b')).toEqual(['a', ',', ' b'])
    expect(cut('default', 'a:b 1234')).toEqual(['a', ':', 'b', ' ', '123', '4'])
  })

  it('can compile the patterns of every GGUF type', () => {
    for (const name of preTypeNames)
      for (const pattern of preTypeOf(name)!.patterns)
        expect(() =>
          createPreTokenizer({ type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated' }),
        ).not.toThrow()
    expect(preTypeOf('constructor')).toBeNull()
  })
})

describe('normalizers', () => {
  it('replaces literally, whatever the replacement looks like', () => {
    const replace = { type: 'Replace', pattern: { String: 'a' }, content: '$&$1' }
    expect(createNormalizer(replace)('bab')).toBe('b$&$1b')
  })

  it('goes through a sequence in order', () => {
    const config = {
      type: 'Sequence',
      normalizers: [
        { type: 'Strip', strip_left: true, strip_right: true },
        { type: 'NFC' },
        { type: 'Lowercase' },
        { type: 'Prepend', prepend: '▁' },
      ],
    }
    expect(createNormalizer(config)(' E\u0301T\u0085')).toBe('▁ét')
    expect(createNormalizer({ type: 'StripAccents' })('e\u0301')).toBe('e')
    expect(createNormalizer({ type: 'BertNormalizer', lowercase: true, clean_text: true })('É\u0000漢')).toBe(
      'e漢',
    )
  })

  it('refuses a file whose replacements multiply the text without end', () => {
    const grow = { type: 'Replace', pattern: { String: 'a' }, content: 'a'.repeat(100) }
    const normalize = createNormalizer({ type: 'Sequence', normalizers: [grow, grow, grow, grow, grow] })
    expect(() => normalize('a')).toThrow(expect.objectContaining({ code: 'input.invalid' }))
  })
})

describe('added tokens', () => {
  const token = (id: number, content: string, extra: object = {}) => ({
    id,
    content,
    singleWord: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
    ...extra,
  })
  const finder = (...tokens: ReturnType<typeof token>[]) =>
    new AddedTokenFinder(tokens.map((each) => [each.content, each]))

  it('finds the leftmost, and there the longest', () => {
    const found = finder(token(1, '<s>'), token(2, '<s>!'), token(3, 'ab'), token(4, 'bc'))
    expect(found.split('x<s>!<s>abc')).toEqual(['x', 2, 1, 3, 'c'])
    expect(found.split('<s')).toEqual(['<s'])
    expect(found.split('')).toEqual([])
  })

  it('takes the white space beside a token where the token says so', () => {
    expect(finder(token(1, '|', { lstrip: true })).split('a \n| b')).toEqual(['a', 1, ' b'])
    expect(finder(token(1, '|', { rstrip: true })).split('a | \tb')).toEqual(['a ', 1, 'b'])
    expect(finder(token(1, '|', { lstrip: true, rstrip: true })).split('| | |')).toEqual([1, 1, 1])
  })

  it('leaves a token alone inside a word where it has to stand by itself', () => {
    const alone = finder(token(1, 'ab', { singleWord: true }))
    expect(alone.split('ab xab abé ab')).toEqual([1, ' xab abé ', 1])
  })
})
