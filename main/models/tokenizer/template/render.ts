/**
 * Renders a chat template as transformers does (trim_blocks, lstrip_blocks, `raise_exception`, `strftime_now`, the named
 * tokens, no tools), and finds out which parts of the result are the messages' own text.
 */
import { Environment, parse, tokenize } from '@huggingface/jinja'
import { PatchbayError } from '../../../../preload/errors'
import type { ChatMessage } from '../../../../preload/prompt'
import { longestTemplate, longestText } from '../limits'
import type { Span } from '../offsets'
import { BoundedInterpreter, boundedRange, withBoundedJoin } from './bounded-interpreter'
import { strftime } from './strftime'

export interface RenderedChat {
  text: string
  /** where the contents of the messages lie in `text`; everything else is the template's */
  contents: Span[]
}

/** What a template's own `raise_exception` says. */
class Refusal extends Error {}

export class ChatTemplate {
  private readonly program: ReturnType<typeof parse>

  /**
   * @param source the template
   * @param namedTokens `bos_token`, `eos_token`, …
   * @throws PatchbayError `template.failed` where it can not be parsed
   */
  constructor(
    source: string,
    private readonly namedTokens: Readonly<Record<string, string>>,
  ) {
    if (source.length > longestTemplate)
      throw failed(`it is ${source.length} characters long, more than ${longestTemplate}`)
    this.program = guarded(() => parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true })))
  }

  /** @throws PatchbayError `template.failed` with what the template, or its interpreter, says */
  render(messages: readonly ChatMessage[], addGenerationPrompt: boolean): RenderedChat {
    return guarded(() => {
      const text = this.run(messages, addGenerationPrompt)
      return { text, contents: this.contentSpans(text, messages, addGenerationPrompt) }
    })
  }

  private run(messages: readonly ChatMessage[], addGenerationPrompt: boolean): string {
    const environment = new Environment()
    const names: Record<string, unknown> = {
      ...this.namedTokens,
      true: true,
      True: true,
      false: false,
      False: false,
      none: null,
      None: null,
      range: boundedRange,
      strftime_now: (format: string) => strftime(new Date(), format),
      raise_exception: (message: string) => {
        throw new Refusal(message)
      },
      messages: messages.map(({ role, content }) => ({ role, content })),
      add_generation_prompt: addGenerationPrompt,
      tools: null,
      documents: null,
    }
    for (const [name, value] of Object.entries(names)) environment.set(name, value)
    const result: unknown = new BoundedInterpreter(environment).run(this.program).value
    if (typeof result !== 'string') throw new Error('it does not render to text')
    if (result.length > longestText) throw new Error(`it renders to ${result.length} characters`)
    return result
  }

  /**
   * The template is rendered again with a mark in the place of each content. Where the parts between the marks and the
   * contents make up the text exactly, that is where the contents lie; else they are looked for, in order.
   */
  private contentSpans(text: string, messages: readonly ChatMessage[], addGenerationPrompt: boolean): Span[] {
    const mark = (index: number) => `\uE0F1${index}\uE0F2`
    const marked = messages.map((message, index) => ({ ...message, content: mark(index) }))
    let skeleton: string
    try {
      skeleton = this.run(marked, addGenerationPrompt)
    } catch (error) {
      if (!(error instanceof Error)) throw error
      // The template reads the contents and does not accept the marks.
      return searchedSpans(text, messages)
    }
    return exactSpans(text, skeleton, messages) ?? searchedSpans(text, messages)
  }
}

function exactSpans(text: string, skeleton: string, messages: readonly ChatMessage[]): Span[] | null {
  const spans: Span[] = []
  let at = 0
  let rest = skeleton
  for (let found = /\uE0F1(\d+)\uE0F2/.exec(rest); found !== null; found = /\uE0F1(\d+)\uE0F2/.exec(rest)) {
    const before = rest.slice(0, found.index)
    const content = messages[Number(found[1])]?.content
    if (content === undefined || !text.startsWith(before, at)) return null
    at += before.length
    // Many templates trim.
    const used = [content, content.trim(), content.trimEnd()].find((each) => text.startsWith(each, at))
    if (used === undefined) return null
    spans.push({ start: at, end: at + used.length })
    at += used.length
    rest = rest.slice(found.index + found[0].length)
  }
  return text.slice(at) === rest ? spans : null
}

function searchedSpans(text: string, messages: readonly ChatMessage[]): Span[] {
  const spans: Span[] = []
  let at = 0
  for (const { content } of messages) {
    const wanted = content.trim()
    const start = wanted === '' ? -1 : text.indexOf(wanted, at)
    if (start < 0) continue
    at = start + wanted.length
    spans.push({ start, end: at })
  }
  return spans
}

const longestShown = 300

function failed(problem: string, cause?: unknown): PatchbayError {
  const shown = problem.length > longestShown ? `${problem.slice(0, longestShown)}…` : problem
  const refused = cause instanceof Refusal
  return new PatchbayError(
    'template.failed',
    refused
      ? `The model's chat template refused the messages: ${shown}`
      : `The model's chat template failed: ${shown}.`,
    {
      cause,
      next: refused
        ? 'Change the roles or the order of the messages.'
        : 'Write the prompt as plain text, with the marks of the template in it.',
    },
  )
}

function guarded<T>(work: () => T): T {
  try {
    return withBoundedJoin(work)
  } catch (error) {
    if (error instanceof PatchbayError) throw error
    throw failed(error instanceof Error ? error.message.replace(/\.$/, '') : String(error), error)
  }
}
