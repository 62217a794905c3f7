import { describe, expect, it } from 'vitest'
import type { EncodedPrompt, PromptSpec, TokenInfo } from '../../../preload/prompt'
import {
  alternatives,
  editedPrompt,
  isSymmetric,
  nameSwaps,
  openPositions,
} from '../../../renderer/pairs/corrupt-edits'
import { suggestCorrupt } from '../../../renderer/pairs/suggest-corrupt'
import { encodeByWords, wordTokens } from '../support/encode-by-words'
import { syntheticEngine } from '../support/synthetic-engine'
import { syntheticModel, syntheticToken } from '../support/synthetic-model'
import { evidenceOf } from '../support/synthetic-views'

const story = 'When Mary and John went to the store, John gave a drink to'
const encodedOf = (text: string, pieces: string[] = []): EncodedPrompt => ({
  tokens: wordTokens(text, pieces),
  rendered: text,
  notes: [],
})
const word = (text: string): TokenInfo => ({ id: 200, text, piece: text, special: false })
const textSpec = (text: string): PromptSpec => ({ kind: 'text', text, bos: 'model' })

describe('swaps of names', () => {
  it('put the other name in the last place of the one that is repeated', () => {
    expect(nameSwaps(wordTokens(story))).toEqual([{ position: 10, from: 'John', to: 'Mary' }])
  })

  it('take a word for a name only where it is written large inside of a sentence, or repeated', () => {
    expect(nameSwaps(wordTokens('When it rained. Then John saw John'))).toEqual([])
    expect(nameSwaps(wordTokens('Mary saw John. Mary ran')).map(({ to }) => to)).toEqual(['John'])
  })

  it('leave alone what is not of the text, and words of several tokens', () => {
    const tokens = wordTokens(story).map((token) => ({ ...token, origin: 'template' as const }))
    expect(nameSwaps(tokens)).toEqual([])
    expect(nameSwaps(wordTokens(story, ['Mary', 'John']))).toEqual([])
  })
})

describe('places for another word', () => {
  it('are names first, then the longest words, never the first token', () => {
    const tokens = wordTokens('The tower that Anna visited stands in Paris')
    expect(openPositions(tokens).map((position) => tokens[position].text)).toEqual([
      ' Paris',
      ' Anna',
      ' visited',
      ' stands',
      ' tower',
      ' that',
    ])
  })

  it('begin with the last place of a name, also at the beginning of a sentence', () => {
    const tokens = wordTokens('We met Tom in the forest. Tom gave the ball to')
    expect(openPositions(tokens).slice(0, 2)).toEqual([8, 3])
  })

  it('get words that are written alike, and are other words', () => {
    const tokens = wordTokens('The tower stands in Paris')
    const likely = [' Paris', ' the', ' London', 'Rome', ' 12', ' Me', ' PARIS', ' Oslo'].map(word)
    expect(alternatives(tokens, 5, likely).map(({ to }) => to)).toEqual(['London', 'Oslo'])
  })
})

describe('an edit', () => {
  const edit = { position: 10, from: 'John', to: 'Mary' }
  const corrupt = 'When Mary and John went to the store, Mary gave a drink to'

  it('changes the text at its token only, with or without its space in the token', () => {
    const encoded = encodedOf(story)
    expect(editedPrompt(textSpec(story), encoded, edit)).toEqual(textSpec(corrupt))
    const bare = {
      ...encoded,
      tokens: encoded.tokens.map((token) => ({
        ...token,
        start: token.start === null ? null : token.end! - 4,
      })),
    }
    expect(editedPrompt(textSpec(story), bare, edit)).toEqual(textSpec(corrupt))
  })

  it('finds the message of a chat that it is in', () => {
    const spec: PromptSpec = {
      kind: 'chat',
      messages: [
        { role: 'system', content: 'John' },
        { role: 'user', content: story },
      ],
      addGenerationPrompt: true,
    }
    const rendered = `<s>John</s><u>${story}</u>`
    const start = rendered.lastIndexOf('John')
    const token = {
      ...syntheticToken(7),
      text: ' John',
      origin: 'text' as const,
      start: start - 1,
      end: start + 4,
    }
    expect(editedPrompt(spec, { tokens: [token], rendered, notes: [] }, { ...edit, position: 0 })).toEqual({
      ...spec,
      messages: [spec.messages[0], { role: 'user', content: corrupt }],
    })
  })

  it('is not made where the letters of the token are not known, or are others', () => {
    const encoded = encodedOf(story)
    const unknown = encoded.tokens.map((token) => ({ ...token, start: null, end: null }))
    expect(editedPrompt(textSpec(story), { ...encoded, tokens: unknown }, edit)).toBeNull()
    expect(editedPrompt(textSpec(story), encoded, { ...edit, from: 'Jane' })).toBeNull()
  })

  it('is symmetric where exactly its own token differs', () => {
    const clean = wordTokens(story)
    expect(isSymmetric(clean, wordTokens(corrupt), edit)).toBe(true)
    expect(isSymmetric(clean, clean, edit)).toBe(false)
    expect(isSymmetric(clean, wordTokens(corrupt, ['drink']), edit)).toBe(false)
    expect(isSymmetric(clean, wordTokens(corrupt.replace('store', 'park')), edit)).toBe(false)
  })
})

describe('a suggested corrupt prompt', () => {
  it('swaps names, as the tokenizer confirms', async () => {
    const engine = syntheticEngine({ 'prompt.encode': encodeByWords })
    const found = await suggestCorrupt(engine, engine.model.handle, textSpec(story), encodedOf(story))
    expect(found?.prompt).toEqual(textSpec('When Mary and John went to the store, Mary gave a drink to'))
    expect(engine.made.map(({ name }) => name)).toEqual(['prompt.encode'])
  })

  it('else takes a likely word that is one token too', async () => {
    const text = 'the queen gave bread'
    const likely = ['milk', 'honey', 'apple'].map((one) => ({
      ...word(` ${one}`),
      probability: 0.1,
      logit: 1,
    }))
    const engine = syntheticEngine({
      'prompt.encode': ({ prompt }) => encodedOf(prompt.kind === 'text' ? prompt.text : '', ['milk']),
      'logits.next': ({ tokens, position }) => ({
        evidence: evidenceOf(syntheticModel(), tokens),
        position,
        entropy: 1,
        top: likely,
      }),
    })
    const found = await suggestCorrupt(engine, engine.model.handle, textSpec(text), encodedOf(text))
    expect(found?.prompt).toEqual(textSpec('the queen gave honey'))
  })

  it('is none where nothing keeps the number of tokens', async () => {
    const engine = syntheticEngine({
      'prompt.encode': ({ prompt }) => encodedOf(`${prompt.kind === 'text' ? prompt.text : ''} more`),
    })
    expect(await suggestCorrupt(engine, engine.model.handle, textSpec(story), encodedOf(story))).toBeNull()
  })
})
