/**
 * A prompt → the ids the model gets, each with its origin, and sentences that say which ids were added and why: BOS
 * once at most, the chat template once.
 */
import { PatchbayError } from '../../../preload/errors'
import type { EncodedPrompt, EncodedToken, PromptSpec } from '../../../preload/prompt'
import { displayText } from '../../../preload/token-text'
import type { Detokenizer } from './detokenizer'
import { locate } from './offsets'
import type { Span } from './offsets'
import type { RenderedChat } from './template/render'
import type { BosStatement } from './types'

export interface PromptMaker {
  detokenizer: Detokenizer
  bosId: number | null
  bosPolicy: BosStatement
  /** ids that the model's policy puts around a text */
  prefix: readonly number[]
  suffix: readonly number[]
  warnings: readonly string[]
  /** text → ids, nothing added; throws where the text can not be encoded */
  encode: (text: string) => Promise<number[]>
  render: (chat: Extract<PromptSpec, { kind: 'chat' }>) => Promise<RenderedChat>
}

/** @throws PatchbayError `prompt.empty`, and whatever encoding and rendering throw */
export async function makePrompt(spec: PromptSpec, maker: PromptMaker): Promise<EncodedPrompt> {
  const made = spec.kind === 'text' ? await fromText(spec, maker) : await fromChat(spec, maker)
  if (made.tokens.length === 0)
    throw new PatchbayError('prompt.empty', 'The prompt is empty.', {
      next: 'Type something, or ask for a BOS token in front.',
    })
  return { ...made, notes: [...made.notes, ...maker.warnings] }
}

type TextSpec = Extract<PromptSpec, { kind: 'text' }>
type ChatSpec = Extract<PromptSpec, { kind: 'chat' }>

/** The ids put around `ids` under a choice about BOS, and the sentences about them. */
export function surround(
  ids: readonly number[],
  bos: TextSpec['bos'],
  maker: Pick<PromptMaker, 'bosId' | 'bosPolicy' | 'prefix' | 'suffix' | 'detokenizer'>,
): { before: number[]; after: number[]; notes: string[] } {
  const { bosId, bosPolicy, prefix, suffix, detokenizer } = maker
  const name = (id: number) => named(detokenizer, id)
  const others = prefix.filter((id) => id !== bosId)
  const after = suffix.length > 0 && ids.at(-1) === suffix[0] ? [] : [...suffix]
  const notes =
    after.length > 0 ? [`${after.map(name).join(', ')} was put last, because the model's files say so.`] : []
  if (bosId === null) {
    if (bos === 'always')
      notes.unshift("No BOS was put first, although asked for: the model's files name none.")
    return { before: others, after, notes }
  }
  const wanted = bos === 'model' ? bosPolicy.addBos : bos === 'always'
  const why = bos === 'model' ? `because ${bosPolicy.source}` : 'as asked'
  if (ids[0] === bosId) {
    notes.unshift(
      `The text itself begins with the BOS token ${name(bosId)}; no second one was put before it.`,
    )
    return { before: others, after, notes }
  }
  notes.unshift(
    wanted ? `The BOS token ${name(bosId)} was put first, ${why}.` : `No BOS token was added, ${why}.`,
  )
  return { before: wanted ? [bosId, ...others] : others, after, notes }
}

async function fromText(spec: TextSpec, maker: PromptMaker): Promise<EncodedPrompt> {
  const ids = spec.text === '' ? [] : await maker.encode(spec.text)
  const { before, after, notes } = surround(ids, spec.bos, maker)
  const around = (id: number, origin: 'bos' | 'eos'): EncodedToken => ({
    ...maker.detokenizer.info(id),
    origin,
    start: null,
    end: null,
  })
  const tokens = [
    ...before.map((id) => around(id, 'bos')),
    ...located(spec.text, ids, maker.detokenizer, () => 'text'),
    ...after.map((id) => around(id, 'eos')),
  ]
  return {
    tokens,
    rendered: spec.text,
    notes: [...notes, ...remarks(spec.text, ids, ids, maker.detokenizer)],
  }
}

async function fromChat(spec: ChatSpec, maker: PromptMaker): Promise<EncodedPrompt> {
  const { text, contents } = await maker.render(spec)
  const ids = text === '' ? [] : await maker.encode(text)
  const { bosId, bosPolicy, detokenizer } = maker
  let next = 0
  const tokens = located(text, ids, detokenizer, (span) => {
    if (span === null) return 'template'
    while (next < contents.length && contents[next].end <= span.start) next++
    const content = contents[next]
    return content !== undefined && content.start < span.end ? 'text' : 'template'
  })
  const notes = ["The model's chat template was applied once."]
  if (bosId !== null && ids[0] === bosId)
    notes.push(
      `The template writes the BOS token ${named(detokenizer, bosId)} itself; no second one was added.`,
    )
  else if (bosPolicy.addBos)
    notes.push('The template writes no BOS token, and none was added: a chat is encoded exactly as rendered.')
  const written = tokens.filter((token) => token.origin === 'text').map((token) => token.id)
  return { tokens, rendered: text, notes: [...notes, ...remarks(text, ids, written, detokenizer)] }
}

function located(
  text: string,
  ids: readonly number[],
  detokenizer: Detokenizer,
  originOf: (span: Span | null) => 'text' | 'template',
): EncodedToken[] {
  const spans = locate(
    text,
    ids.map((id) => detokenizer.chunk(id).bytes),
  )
  return ids.map((id, index) => {
    const span = spans[index] ?? null
    return {
      ...detokenizer.info(id),
      origin: originOf(span),
      start: span?.start ?? null,
      end: span?.end ?? null,
    }
  })
}

const mostNamed = 5

/** What a person may not expect: special tokens among what was written, and text that does not come back. */
function remarks(
  text: string,
  ids: readonly number[],
  written: readonly number[],
  detokenizer: Detokenizer,
): string[] {
  const notes: string[] = []
  const special = [...new Set(written)].filter((id) => detokenizer.info(id).special)
  if (special.length > 0) {
    const more = special.length > mostNamed ? ` and ${special.length - mostNamed} more` : ''
    const list = special.slice(0, mostNamed).map((id) => named(detokenizer, id))
    notes.push(`Special tokens are written in the text itself and count as such: ${list.join(', ')}${more}.`)
  }
  if (detokenizer.decode(ids) !== text)
    notes.push(
      'Decoding these ids does not give the text back exactly: the tokenizer changes it before cutting.',
    )
  return notes
}

const named = (detokenizer: Detokenizer, id: number): string =>
  `${displayText(detokenizer.info(id).piece, { longest: 40 })} (${id})`
