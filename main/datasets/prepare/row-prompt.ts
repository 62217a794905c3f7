/** From a row to its prompt: by column, template, chat, or token ids that stand in it. Spans that marks show come along. */
import { z } from 'zod'
import type { DatasetSpec, SpanRule } from '../../../preload/datasets'
import { PatchbayError } from '../../../preload/errors'
import { chatMessage, type ChatMessage, type PromptSpec } from '../../../preload/prompt'
import { quoted } from '../../models/formats/malformed'
import type { Cells } from '../types'
import { takeMarks, type Range } from './marks'
import { columnsOf, fill, parseTemplate, textOf } from './template'

/** Where marks stood: UTF-16 units of a text, or of the content of a chat's message. */
export interface MarkedRange extends Range {
  readonly message: number | null
}

export type BuiltPrompt =
  | { readonly kind: 'prompt'; readonly prompt: PromptSpec; readonly marked: MarkedRange | null }
  | { readonly kind: 'ids'; readonly ids: number[] }

export interface RowPromptMaker {
  /** Columns that rows need. */
  readonly columns: readonly string[]
  /** @throws PatchbayError `input.invalid`, `prompt.empty` for a row that has no such prompt */
  readonly build: (cells: Cells) => BuiltPrompt
}

type Parts = Pick<DatasetSpec, 'prompt' | 'bos' | 'span'>

/** @throws PatchbayError `input.invalid` for a template that can not be read, or marks in token ids */
export function rowPromptMaker({ prompt, bos, span }: Parts): RowPromptMaker {
  const marks = span?.kind === 'marks' ? span : null
  const text = (written: string): BuiltPrompt => {
    const { texts, marked } = unmarked([written], marks)
    if (texts[0] === '')
      throw new PatchbayError('prompt.empty', 'The row’s text is empty.', { next: 'Leave the row out.' })
    const range = marked === null ? null : { ...marked, message: null }
    return { kind: 'prompt', prompt: { kind: 'text', text: texts[0], bos }, marked: range }
  }
  const chat = (messages: readonly ChatMessage[], addGenerationPrompt: boolean): BuiltPrompt => {
    const { texts, marked } = unmarked(
      messages.map(({ content }) => content),
      marks,
    )
    const written = messages.map(({ role }, i) => ({ role, content: texts[i] }))
    return { kind: 'prompt', prompt: { kind: 'chat', messages: written, addGenerationPrompt }, marked }
  }
  switch (prompt.kind) {
    case 'column':
      return { columns: [prompt.column], build: (cells) => text(textOf(cells, prompt.column)) }
    case 'template': {
      const parts = parseTemplate(prompt.template)
      return { columns: columnsOf(parts), build: (cells) => text(fill(parts, cells)) }
    }
    case 'chat': {
      const messages = prompt.messages.map(({ role, content }) => ({ role, parts: parseTemplate(content) }))
      return {
        columns: messages.flatMap(({ parts }) => columnsOf(parts)),
        build: (cells) =>
          chat(
            messages.map(({ role, parts }) => ({ role, content: fill(parts, cells) })),
            prompt.addGenerationPrompt,
          ),
      }
    }
    case 'messages':
      return {
        columns: [prompt.column],
        build: (cells) =>
          chat(parsed(cells, prompt.column, chatOfRow, 'no chat'), prompt.addGenerationPrompt),
      }
    case 'tokens':
      if (marks !== null)
        throw new PatchbayError('input.invalid', 'Marks can not be taken out of token ids.', {
          field: 'span',
          next: 'Find the span by a column.',
        })
      return {
        columns: [prompt.column],
        build: (cells) => ({ kind: 'ids', ids: parsed(cells, prompt.column, idsOfRow, 'no token ids') }),
      }
  }
}

const chatOfRow = z.array(chatMessage).min(1).max(10_000)
const idsOfRow = z.array(z.number().int().nonnegative()).min(1).max(4_000_000)

function parsed<T>(cells: Cells, column: string, schema: z.ZodType<T>, what: string): T {
  const text = textOf(cells, column)
  const found = schema.safeParse(jsonOrUndefined(text))
  if (found.success) return found.data
  const [issue] = found.error.issues
  const place = issue.path.length === 0 ? '' : ` (at ${issue.path.join('.')})`
  throw new PatchbayError('input.invalid', `The column ${quoted(column)} holds ${what} as JSON${place}.`, {
    field: column,
    next:
      schema === (chatOfRow as unknown)
        ? 'It has to be a list such as [{"role": "user", "content": "…"}].'
        : 'It has to be a list such as [1, 17, 4].',
  })
}

function jsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // fails the schema, which is what the caller reports
  }
}

type MarkRule = Extract<SpanRule, { kind: 'marks' }>

/** The texts without marks, and where they stood. @throws PatchbayError `input.invalid` unless there is one pair in all */
function unmarked(
  texts: readonly string[],
  rule: MarkRule | null,
): { texts: readonly string[]; marked: (Range & { message: number }) | null } {
  if (rule === null) return { texts, marked: null }
  const taken = texts.map((text) => takeMarks(text, rule))
  const found = taken.flatMap(({ ranges }, message) => ranges.map((range) => ({ ...range, message })))
  if (found.length === 1) return { texts: taken.map(({ text }) => text), marked: found[0] }
  throw new PatchbayError(
    'input.invalid',
    `${found.length === 0 ? 'No span is' : `${found.length} spans are`} marked with ${quoted(rule.open)} and ${quoted(rule.close)}.`,
    { field: 'span', next: 'Mark one span in each row.' },
  )
}
