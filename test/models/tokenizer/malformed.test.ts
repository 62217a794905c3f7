/** Files that break their format: each is refused by name before anything is made of it. */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PatchbayError } from '../../../preload/errors'
import { planDecoder } from '../../../main/models/tokenizer/decode-plan'
import { createEncoder } from '../../../main/models/tokenizer/encoding/encoder'
import { definitionFromFolder } from '../../../main/models/tokenizer/sources/from-folder'
import { definitionFromGguf } from '../../../main/models/tokenizer/sources/from-gguf'
import { ggufFields } from '../../../main/models/tokenizer/sources/gguf-fields'
import { byteLevelJson, fromFiles, fromJson, ggufMetadata } from './support/fixtures'

const none = {
  tokenizerConfig: null,
  specialTokensMap: null,
  generationConfig: null,
  config: null,
  templateFile: null,
  templateJson: null,
}

/** What the worker does with the text of a tokenizer.json. */
function read(tokenizer: string): void {
  const definition = definitionFromFolder({ kind: 'folder', tokenizer, ...none })
  planDecoder(definition.decoder)
  createEncoder(definition)
}

const failure = (work: () => unknown): PatchbayError => {
  try {
    work()
  } catch (error) {
    if (error instanceof PatchbayError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

type Json = ReturnType<typeof byteLevelJson>

describe('tokenizer.json', () => {
  const cases: [string, (json: Json) => void, string][] = [
    ['no model', (json) => delete (json as Partial<Json>).model, 'model'],
    ['a model that is a list', (json) => (json.model = [] as never), 'model'],
    ['no vocabulary', (json) => delete json.model['vocab'], 'model.vocab'],
    ['an empty vocabulary', (json) => (json.model['vocab'] = {}), 'model.vocab'],
    ['a vocabulary of text', (json) => (json.model['vocab'] = 'abc'), 'model.vocab'],
    ['an id that is text', (json) => Object.assign(json.model['vocab']!, { a: '97' }), 'model.vocab'],
    ['an id below 0', (json) => Object.assign(json.model['vocab']!, { a: -1 }), 'model.vocab'],
    [
      'an id that is no whole number',
      (json) => Object.assign(json.model['vocab']!, { a: 0.5 }),
      'model.vocab',
    ],
    ['an id of 2^31', (json) => Object.assign(json.model['vocab']!, { a: 2 ** 31 }), 'model.vocab'],
    ['an id given twice', (json) => Object.assign(json.model['vocab']!, { a: 98 }), 'model.vocab'],
    ['no merges', (json) => delete json.model['merges'], 'model.merges'],
    ['a merge of one piece', (json) => (json.model['merges'] = ['a']), 'model.merges'],
    ['a merge of three', (json) => (json.model['merges'] = [['a', 'b', 'c']]), 'model.merges'],
    ['a merge of absent pieces', (json) => (json.model['merges'] = ['nope a']), 'model.merges'],
    ['a merge to an absent piece', (json) => (json.model['merges'] = ['a b']), 'model.merges'],
    ['an unknown token that is unknown', (json) => (json.model['unk_token'] = '<unk>'), 'model.unk_token'],
    [
      'an added token without text',
      (json) => (json.added_tokens[0]['content'] = ''),
      'added_tokens.0.content',
    ],
    ['an added token of 2^31', (json) => (json.added_tokens[0]['id'] = 2 ** 31), 'added_tokens'],
    ['an added token with the id of another', (json) => (json.added_tokens[0]['id'] = 97), 'added_tokens.0'],
    ['an added token given twice', (json) => (json.added_tokens[1]['content'] = '<s>'), 'added_tokens.1'],
    ['a flag that is a number', (json) => (json.added_tokens[0]['lstrip'] = 1), 'added_tokens.0.lstrip'],
    ['a component without a type', (json) => (json['normalizer'] = {}), 'normalizer.type'],
    [
      'a pattern that is none',
      (json) => (json['pre_tokenizer'] = { type: 'Split', pattern: { Regex: '(' }, behavior: 'Isolated' }),
      'pre_tokenizer',
    ],
    [
      'a template of unknown tokens',
      (json) => (json['post_processor'] = template(['<x>'])),
      'post_processor.special_tokens',
    ],
    [
      'a template with ids outside',
      (json) => (json['post_processor'] = template(['<s>'], 9999)),
      'post_processor',
    ],
    [
      'a decoder without content',
      (json) => (json['decoder'] = { type: 'Strip', start: 1, stop: 0 }),
      'decoder.content',
    ],
  ]

  const template = (names: string[], id = 256) => ({
    type: 'TemplateProcessing',
    single: [...names.map((name) => ({ SpecialToken: { id: name } })), { Sequence: { id: 'A' } }],
    special_tokens: { '<s>': { ids: [id] } },
  })

  it.each(cases)('with %s is malformed, and the field is named', (_, change, field) => {
    const json = byteLevelJson()
    change(json)
    expect(failure(() => read(JSON.stringify(json)))).toMatchObject({ code: 'file.malformed', field })
  })

  it.each([
    ['nothing', ''],
    ['half a file', JSON.stringify(byteLevelJson()).slice(0, 900)],
    ['a list', '[]'],
    ['brackets a million deep', '['.repeat(1_000_000)],
    ['components a thousand deep', deep(1000)],
    ['one key twice', '{"model": 1, "model": 2}'],
    ['half a surrogate pair', '{"model": {"vocab": {"\\ud800": 0}}}'],
  ])('of %s is malformed', (_, text) => {
    expect(failure(() => read(text))).toMatchObject({ code: 'file.malformed' })
  })

  function deep(levels: number): string {
    const json = JSON.stringify(byteLevelJson())
    const open = '{"type":"Sequence","normalizers":['.repeat(levels)
    return json.replace('"normalizer":null', () => `"normalizer":${open}${']}'.repeat(levels)}`)
  }

  it('takes __proto__ and constructor for pieces like others', () => {
    const json = JSON.stringify(byteLevelJson()).replace(
      '"vocab":{',
      '"vocab":{"__proto__":300,"constructor":301,',
    )
    const definition = definitionFromFolder({ kind: 'folder', tokenizer: json, ...none })
    expect(definition.model).toMatchObject({ kind: 'bpe' })
    expect(definition.model.kind === 'bpe' && definition.model.vocab.get('__proto__')).toBe(300)
    expect(({} as Record<string, unknown>)['300']).toBeUndefined()
  })

  it.each([
    ['normalizer', 'Nmt'],
    ['pre_tokenizer', 'UnicodeScripts'],
    ['decoder', 'CTC'],
    ['post_processor', 'toString'],
  ])('with a %s of an unknown type is not supported, and the type is named', (component, type) => {
    const error = failure(() => read(JSON.stringify({ ...byteLevelJson(), [component]: { type } })))
    expect(error).toMatchObject({ code: 'tokenizer.unsupported', field: component })
    expect(error.message).toContain(`"${type}"`)
  })

  it('is refused by its own error and nothing else, whatever is changed in it', () => {
    const original = JSON.stringify(byteLevelJson(['h e', 'he l']))
    fc.assert(
      fc.property(
        fc.nat(original.length - 1),
        fc.nat(12),
        fc.constantFrom(
          '',
          '"',
          '{',
          ']',
          '-1',
          'null',
          '1e999',
          '\\u0000',
          '9007199254740993',
          '[[',
          ':',
          'true',
        ),
        (at, length, inserted) => {
          const text = original.slice(0, at) + inserted + original.slice(at + length)
          try {
            read(text)
          } catch (error) {
            expect(error).toBeInstanceOf(PatchbayError)
            expect((error as PatchbayError).code).toMatch(/^(file\.malformed|tokenizer\.unsupported)$/)
          }
        },
      ),
      { numRuns: 1500, seed: 3 },
    )
  })

  it('is refused at every length at which it is cut', () => {
    const text = JSON.stringify({ ...byteLevelJson(), model: { type: 'BPE', vocab: { a: 0 }, merges: [] } })
    for (let length = 0; length < text.length; length++)
      expect(failure(() => read(text.slice(0, length))).code).toBe('file.malformed')
  })
})

describe('the files beside it', () => {
  it.each([
    ['tokenizer_config.json', { add_bos_token: 'yes' }, 'tokenizer_config.json.add_bos_token'],
    ['tokenizer_config.json', { chat_template: 5 }, 'tokenizer_config.json.chat_template'],
    ['special_tokens_map.json', { bos_token: { text: '<s>' } }, 'special_tokens_map.json.bos_token'],
    ['generation_config.json', { eos_token_id: 'two' }, 'generation_config.json.eos_token_id'],
    ['config.json', { bos_token_id: 1.5 }, 'config.json.bos_token_id'],
    ['chat_template.json', { template: '' }, 'chat_template.json.chat_template'],
  ])('%s with %j is malformed, and the file and field are named', async (name, content, field) => {
    const error: unknown = await fromFiles({ 'tokenizer.json': byteLevelJson(), [name]: content }).catch(
      (thrown: unknown) => thrown,
    )
    expect(error).toMatchObject({ code: 'file.malformed', field })
    expect((error as Error).message).toContain(name)
  })

  it('are not needed', async () => {
    const tokenizer = await fromJson(byteLevelJson())
    expect(tokenizer).toMatchObject({ bosId: null, eosIds: [], hasChatTemplate: false, templateHash: null })
  })

  it('without a tokenizer.json make no tokenizer', async () => {
    await expect(fromFiles({ 'config.json': {} })).rejects.toMatchObject({ code: 'tokenizer.unsupported' })
  })

  it('leave the path of a malformed tokenizer.json in its error', async () => {
    const error: unknown = await fromFiles({ 'tokenizer.json': '{' }).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'file.malformed' })
    expect((error as PatchbayError).file).toMatch(/tokenizer\.json$/)
  })
})

describe('GGUF metadata', () => {
  const base = { tokens: ['a', 'b', 'ab', '</s>'], merges: ['a b'], token_type: [1, 1, 1, 3] }
  const bpe = { model: 'gpt2', pre: 'gpt-2', eos_token_id: 3 }
  type Fields = Parameters<typeof ggufMetadata>[0]
  const readGguf = (fields: Fields) => createEncoder(definitionFromGguf(ggufFields(ggufMetadata(fields))))

  it('is read where it is sound', () => {
    expect(readGguf({ ...base, plain: bpe }).encode('ab</s>')).toEqual([2, 3])
  })

  const cases: [string, Fields, string, string][] = [
    [
      'a model type that is not known',
      { ...base, plain: { ...bpe, model: 'rwkv' } },
      'tokenizer.unsupported',
      'model',
    ],
    [
      'a pre-tokenizer that is not known',
      { ...base, plain: { ...bpe, pre: 'x-9' } },
      'tokenizer.unsupported',
      'pre',
    ],
    ['no tokens', { ...base, tokens: [], plain: bpe }, 'tokenizer.unsupported', 'model'],
    [
      'a token given twice',
      { ...base, tokens: ['a', 'b', 'ab', 'a'], plain: bpe },
      'file.malformed',
      'tokens',
    ],
    ['no merges', { tokens: base.tokens, plain: bpe }, 'file.malformed', 'merges'],
    ['a merge of absent tokens', { ...base, merges: ['a c'], plain: bpe }, 'file.malformed', 'merges'],
    ['too few token types', { ...base, token_type: [1], plain: bpe }, 'file.malformed', 'token_type'],
    ['an id outside', { ...base, plain: { ...bpe, bos_token_id: 4 } }, 'file.malformed', '*_token_id'],
    [
      'a flag that is a number',
      { ...base, plain: { ...bpe, add_bos_token: 1 } },
      'file.malformed',
      'add_bos_token',
    ],
    ['no scores', { tokens: base.tokens, plain: { model: 'llama' } }, 'file.malformed', 'scores'],
    [
      'a score that is no number',
      { tokens: base.tokens, scores: [0, NaN, 0, 0], plain: { model: 'llama' } },
      'file.malformed',
      'scores',
    ],
  ]
  it.each(cases)('with %s is refused, and the key is named', (_, fields, code, key) => {
    expect(failure(() => readGguf(fields))).toMatchObject({ code, field: `tokenizer.ggml.${key}` })
  })
})

it('reads the tokenizer that comes with the application', () => {
  const text = readFileSync(
    new URL('../../../assets/models/storyworld/tokenizer.json', import.meta.url),
    'utf8',
  )
  expect(() => read(text)).not.toThrow()
})
