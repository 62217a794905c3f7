/** Tokenizer files that never end or want all memory: each ends in its error, and the next call works. */
import { describe, expect, it } from 'vitest'
import type { Tokenizer } from '../../../main/models/tokenizer'
import { byteLevelJson, fromFiles, fromJson } from './support/fixtures'

const limits = { timeLimitMs: 1000 }

const chat = (tokenizer: Tokenizer, content = 'hello') =>
  tokenizer.encodePrompt({ kind: 'chat', messages: [{ role: 'user', content }], addGenerationPrompt: true })

const withTemplate = (template: string, options: object = limits) =>
  fromFiles({ 'tokenizer.json': byteLevelJson(), 'chat_template.jinja': template }, options)

describe('patterns', () => {
  it('ends a pattern that would backtrack for ever, and starts anew for the next text', async () => {
    const json = byteLevelJson()
    const evil = { type: 'Split', pattern: { Regex: '(a+)+$' }, behavior: 'Isolated', invert: false }
    json['pre_tokenizer'] = { type: 'Sequence', pretokenizers: [evil, json['pre_tokenizer']] }
    const tokenizer = await fromJson(json, limits)
    await expect(tokenizer.encode('a'.repeat(60) + '!')).rejects.toMatchObject({ code: 'tokenizer.timeout' })
    expect(await tokenizer.encode('b')).toEqual([98])
  })

  it('goes on with the calls that waited behind one that did not end', async () => {
    const json = byteLevelJson()
    json['normalizer'] = { type: 'Replace', pattern: { Regex: '(a+)+$' }, content: '' }
    const tokenizer = await fromJson(json, limits)
    const results = await Promise.allSettled([tokenizer.encode('a'.repeat(60) + '!'), tokenizer.encode('b')])
    expect(results.map((result) => result.status)).toEqual(['rejected', 'fulfilled'])
  })

  it('ends a tokenizer that does not end while it is read', async () => {
    const json = byteLevelJson()
    json['normalizer'] = { type: 'Replace', pattern: { Regex: '(a+)+$' }, content: '' }
    json.added_tokens.push({ id: 258, content: 'a'.repeat(60) + '!', special: false, normalized: true })
    await expect(fromJson(json, { loadTimeLimitMs: 1500 })).rejects.toMatchObject({
      code: 'tokenizer.timeout',
    })
  })
})

describe('chat templates', () => {
  it.each([
    ['counts to 10^8', '{% for i in range(100000000) %}x{% endfor %}', /range of 100000000/],
    [
      'loops within loops',
      '{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}',
      /took longer than 1 s|more than 5000000 steps/,
    ],
    [
      'doubles a string',
      `{% set ns = namespace(s='x') %}{% for i in range(40) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}`,
      /string of 8388608 characters/,
    ],
    [
      'asks for half a gigabyte in one join',
      `{% set ns = namespace(s='xyz') %}{% for i in range(20) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ [1, 2, 3, 4, 5, 6, 7, 8] | join(ns.s) }}`,
      /joins strings of \d+ characters/,
    ],
    [
      'prints a list that holds itself twice, forty deep',
      `{% set ns = namespace(l=['x']) %}{% for i in range(40) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}`,
      /joins strings|took longer/,
    ],
    ['is nested a hundred thousand deep', `{{ ${'('.repeat(100_000)}1${')'.repeat(100_000)} }}`, /./],
    ['is two megabytes long', 'x'.repeat(2_000_000), /2000000 characters long/],
    ['is no template', '{% for %}', /./],
    [
      'raises an exception of its own',
      "{{ raise_exception('Only the system may speak') }}",
      /refused.*Only the system/,
    ],
  ])('that %s fails by name, and the tokenizer lives on', async (_, template, message) => {
    const tokenizer = await withTemplate(template, template.includes('9999') ? limits : {})
    const error: unknown = await chat(tokenizer).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'template.failed' })
    expect((error as Error).message).toMatch(message)
    expect((error as Error).message.length).toBeLessThan(500)
    expect(await tokenizer.encode('b')).toEqual([98])
  })

  it('ends a template that runs out of its memory', async () => {
    const template = `{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = [ns.l, messages[0].content ~ i] %}{% endfor %}{{ ns.l | tojson | length }}`
    const tokenizer = await withTemplate(template, { memoryLimitMb: 24 })
    await expect(chat(tokenizer, 'z'.repeat(4000))).rejects.toMatchObject({ code: 'template.failed' })
    expect(await tokenizer.encode('b')).toEqual([98])
  })

  it('can not reach JavaScript through its values', async () => {
    const probes = [
      `{{ messages.constructor }}`,
      `{{ messages[0].__proto__ }}`,
      `{{ raise_exception.constructor }}`,
      `{{ ''.constructor.constructor }}`,
      `{{ range.constructor('return process')() }}`,
    ]
    for (const probe of probes) {
      const tokenizer = await withTemplate(`[${probe}]`, limits)
      const text = await chat(tokenizer).then(
        (prompt) => prompt.rendered,
        (error: unknown) => (error as { code: string }).code,
      )
      expect(['[]', '[[object Object]]', 'template.failed']).toContain(text)
    }
  })
})

describe('the worker', () => {
  it('is left behind by a call that is cancelled, and serves the next', async () => {
    const json = byteLevelJson()
    json['normalizer'] = { type: 'Replace', pattern: { Regex: '(a+)+$' }, content: '' }
    const tokenizer = await fromJson(json, limits)
    const controller = new AbortController()
    const call = tokenizer.encode('a'.repeat(60) + '!', {}, controller.signal)
    controller.abort()
    await expect(call).rejects.toMatchObject({ code: 'run.cancelled' })
    await expect(tokenizer.encode('b', {}, controller.signal)).rejects.toMatchObject({
      code: 'run.cancelled',
    })
    expect(await tokenizer.encode('b')).toEqual([98])
  })

  it('is gone when the tokenizer is closed, which then says so', async () => {
    const tokenizer = await fromJson(byteLevelJson())
    const pending = expect(tokenizer.encode('b')).rejects.toMatchObject({ code: 'model.not-open' })
    await tokenizer.close()
    await pending
    await expect(tokenizer.encode('b')).rejects.toMatchObject({ code: 'model.not-open' })
    expect(await tokenizer.decode([98])).toBe('b')
  })
})
