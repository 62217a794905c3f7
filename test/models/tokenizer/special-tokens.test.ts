/** Which ids are put around a text and why, from every place where model files say so. */
import { describe, expect, it } from 'vitest'
import type { PromptSpec } from '../../../preload/prompt'
import type { Tokenizer } from '../../../main/models/tokenizer'
import { byteLevelJson, fromFiles, fromGguf, ggufMetadata, origins } from './support/fixtures'

type Bos = Extract<PromptSpec, { kind: 'text' }>['bos']

async function prompt(tokenizer: Tokenizer, text: string, bos: Bos = 'model') {
  const { tokens, notes } = await tokenizer.encodePrompt({ kind: 'text', text, bos })
  return { tokens: origins(tokens), note: notes[0] }
}

const withFirst = (...names: string[]) => ({
  ...byteLevelJson(),
  post_processor: {
    type: 'Sequence',
    processors: [
      { type: 'ByteLevel', trim_offsets: false },
      {
        type: 'TemplateProcessing',
        single: [
          ...names.map((id) => ({ SpecialToken: { id, type_id: 0 } })),
          { Sequence: { id: 'A', type_id: 0 } },
        ],
        pair: [],
        special_tokens: { '<s>': { id: '<s>', ids: [256], tokens: ['<s>'] } },
      },
    ],
  },
})
const named = { bos_token: '<s>', eos_token: { content: '</s>', lstrip: false } }

describe('BOS before a text', () => {
  it('comes from the post-processor in tokenizer.json', async () => {
    const tokenizer = await fromFiles({ 'tokenizer.json': withFirst('<s>'), 'tokenizer_config.json': named })
    expect(tokenizer).toMatchObject({ bosId: 256, eosIds: [257] })
    expect(await prompt(tokenizer, 'a')).toEqual({
      tokens: ['bos:<s>', 'a'],
      note: 'The BOS token <s> (256) was put first, because the post-processor in tokenizer.json puts it first.',
    })
    expect(await prompt(tokenizer, 'a', 'always')).toMatchObject({ tokens: ['bos:<s>', 'a'] })
    expect(await prompt(tokenizer, 'a', 'never')).toEqual({
      tokens: ['a'],
      note: 'No BOS token was added, as asked.',
    })
    expect(await tokenizer.encode('a')).toEqual([97])
    expect(await tokenizer.encode('a', { addSpecialTokens: true })).toEqual([256, 97])
    expect(await tokenizer.encode('<s>a', { addSpecialTokens: true })).toEqual([256, 97])
  })

  it('follows add_bos_token where tokenizer_config.json has it, whatever the post-processor does', async () => {
    const off = await fromFiles({
      'tokenizer.json': withFirst('<s>'),
      'tokenizer_config.json': { ...named, add_bos_token: false },
    })
    expect(await prompt(off, 'a')).toEqual({
      tokens: ['a'],
      note: 'No BOS token was added, because add_bos_token in tokenizer_config.json says false.',
    })
    const on = await fromFiles({
      'tokenizer.json': byteLevelJson(),
      'tokenizer_config.json': { ...named, add_bos_token: true, add_eos_token: true },
    })
    expect(await prompt(on, 'a')).toEqual({
      tokens: ['bos:<s>', 'a', 'eos:</s>'],
      note: 'The BOS token <s> (256) was put first, because add_bos_token in tokenizer_config.json says true.',
    })
    expect(await prompt(on, 'a</s>')).toMatchObject({ tokens: ['bos:<s>', 'a', '</s>'] })
  })

  it('can not be put there where the files name none, and the note says so', async () => {
    const tokenizer = await fromFiles({ 'tokenizer.json': byteLevelJson() })
    expect(await prompt(tokenizer, 'a', 'always')).toEqual({
      tokens: ['a'],
      note: "No BOS was put first, although asked for: the model's files name none.",
    })
  })

  it('is named by special_tokens_map.json, or by its id in config.json', async () => {
    const json = byteLevelJson()
    const map = await fromFiles({ 'tokenizer.json': json, 'special_tokens_map.json': named })
    expect(map).toMatchObject({ bosId: 256, eosIds: [257] })
    const ids = await fromFiles({
      'tokenizer.json': json,
      'config.json': { bos_token_id: 256, eos_token_id: 257 },
      'generation_config.json': { eos_token_id: [97, 257, 5000] },
    })
    expect(ids).toMatchObject({ bosId: 256, eosIds: [97, 257] })
  })

  it('alone makes a prompt of an empty text', async () => {
    const tokenizer = await fromFiles({ 'tokenizer.json': withFirst('<s>'), 'tokenizer_config.json': named })
    expect((await prompt(tokenizer, '')).tokens).toEqual(['bos:<s>'])
  })
})

describe('a chat', () => {
  const chatml =
    "{% for m in messages %}{{ '<s>' + m['role'] + ': ' + m['content'] | trim }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
  const say = (tokenizer: Tokenizer, ...contents: string[]) =>
    tokenizer.encodePrompt({
      kind: 'chat',
      messages: contents.map((content, index) => ({ role: index % 2 === 0 ? 'user' : 'assistant', content })),
      addGenerationPrompt: true,
    })
  const spoken = ({ tokens }: { tokens: { origin: string; text: string }[] }) =>
    tokens.map(({ origin, text }) => (origin === 'text' ? text.toUpperCase() : text)).join('')

  it('takes its template from the file, then its JSON, then the configuration', async () => {
    const files = {
      'tokenizer.json': byteLevelJson(),
      'tokenizer_config.json': {
        chat_template: [
          { name: 'tool_use', template: 't' },
          { name: 'default', template: 'c' },
        ],
      },
      'chat_template.json': { chat_template: 'j' },
      'chat_template.jinja': 'f',
    }
    const rendered = async (names: (keyof typeof files)[]) =>
      (await say(await fromFiles(Object.fromEntries(names.map((name) => [name, files[name]]))), 'x')).rendered
    expect(await rendered(['tokenizer.json', 'tokenizer_config.json'])).toBe('c')
    expect(await rendered(['tokenizer.json', 'tokenizer_config.json', 'chat_template.json'])).toBe('j')
    expect(await rendered(Object.keys(files) as (keyof typeof files)[])).toBe('f')
  })

  it('tells what a person wrote from what the template wrote, also where they look alike', async () => {
    const tokenizer = await fromFiles({ 'tokenizer.json': byteLevelJson(), 'chat_template.jinja': chatml })
    expect(spoken(await say(tokenizer, 'user', ' user: x ', 'assistant:'))).toBe(
      '<s>user: USER\n<s>assistant: USER: X\n<s>user: ASSISTANT:\nassistant:',
    )
  })

  it('finds what a person wrote where the template will not take marks for it', async () => {
    const picky = `{% if 'E' not in messages[0].content and 'e' not in messages[0].content %}{{ raise_exception('no') }}{% endif %}user: {{ messages[0].content | upper | lower }}!`
    const tokenizer = await fromFiles({ 'tokenizer.json': byteLevelJson(), 'chat_template.jinja': picky })
    expect(spoken(await say(tokenizer, 'yes'))).toBe('user: YES!')
  })

  it('gets no BOS but the one its template writes', async () => {
    const files = { 'tokenizer.json': withFirst('<s>'), 'tokenizer_config.json': named }
    const writes = await fromFiles({
      ...files,
      'chat_template.jinja': "{{ bos_token }}{{ messages[0]['content'] }}{{ eos_token }}",
    })
    const once = await say(writes, 'a')
    expect(origins(once.tokens)).toEqual(['template:<s>', 'a', 'template:</s>'])
    expect(once.notes).toContain(
      'The template writes the BOS token <s> (256) itself; no second one was added.',
    )
    const plain = await fromFiles({ ...files, 'chat_template.jinja': "{{ messages[0]['content'] }}" })
    const none = await say(plain, 'a')
    expect(origins(none.tokens)).toEqual(['a'])
    expect(none.notes).toContain(
      'The template writes no BOS token, and none was added: a chat is encoded exactly as rendered.',
    )
  })

  it('knows the date in the words of Python', async () => {
    const tokenizer = await fromFiles({
      'tokenizer.json': byteLevelJson(),
      'chat_template.jinja': "{{ strftime_now('%d %B %Y|%-d|%%|%Q') }}",
    })
    expect((await say(tokenizer, 'x')).rendered).toMatch(/^\d\d [A-Z][a-z]+ \d{4}\|\d{1,2}\|%\|%Q$/)
  })

  it('is refused where there is no template, or half a surrogate pair in a message', async () => {
    const without = await fromFiles({ 'tokenizer.json': byteLevelJson() })
    await expect(say(without, 'x')).rejects.toMatchObject({ code: 'template.failed' })
    const tokenizer = await fromFiles({ 'tokenizer.json': byteLevelJson(), 'chat_template.jinja': chatml })
    await expect(say(tokenizer, 'x', '\uD800')).rejects.toMatchObject({ code: 'input.invalid' })
  })

  it('that renders to nothing is an empty prompt', async () => {
    const tokenizer = await fromFiles({
      'tokenizer.json': byteLevelJson(),
      'chat_template.jinja': '{# nothing #}',
    })
    await expect(say(tokenizer, 'x')).rejects.toMatchObject({ code: 'prompt.empty' })
  })
})

describe('a GGUF file', () => {
  const fields = { tokens: ['a', '<s>', '</s>'], merges: [], token_type: [1, 3, 3] }
  const base = { model: 'gpt2', bos_token_id: 1, eos_token_id: 2 }

  it.each([
    [{ pre: 'gpt-2' }, ['a'], 'has none'],
    [{ pre: 'llama-bpe' }, ['bos:<s>', 'a'], 'has one'],
    [{ pre: 'gpt-2', add_bos_token: true }, ['bos:<s>', 'a'], 'says true'],
    [{ pre: 'llama-bpe', add_bos_token: false, add_eos_token: true }, ['a', 'eos:</s>'], 'says false'],
  ])('that says %j makes %j', async (plain, tokens, why) => {
    const tokenizer = await fromGguf(ggufMetadata({ ...fields, plain: { ...base, ...plain } }))
    const made = await prompt(tokenizer, 'a')
    expect(made.tokens).toEqual(tokens)
    expect(made.note).toContain(why)
  })

  it('that does not name its pre-tokenizer is read with a warning in every prompt', async () => {
    const tokenizer = await fromGguf(ggufMetadata({ ...fields, plain: base }))
    expect(tokenizer.warnings).toHaveLength(1)
    const { notes } = await tokenizer.encodePrompt({ kind: 'text', text: 'a', bos: 'model' })
    expect(notes).toContain(tokenizer.warnings[0])
  })

  it('has every end it names, and its own template', async () => {
    const plain = { ...base, pre: 'gpt-2', eot_token_id: 0, 'tokenizer.chat_template': '{{ eos_token }}' }
    const tokenizer = await fromGguf(ggufMetadata({ ...fields, plain }))
    expect(tokenizer).toMatchObject({ eosIds: [2, 0], hasChatTemplate: true })
  })

  it('gives the same hash for the same tokenizer, and another for another', async () => {
    const hash = async (tokens: string[]) =>
      (await fromGguf(ggufMetadata({ ...fields, tokens, plain: { ...base, pre: 'gpt-2' } }))).tokenizerHash
    expect(await hash(['a', '<s>', '</s>'])).toBe(await hash(['a', '<s>', '</s>']))
    expect(await hash(['a', '<s>', '</s>'])).not.toBe(await hash(['b', '<s>', '</s>']))
  })
})
