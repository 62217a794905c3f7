/**
 * Ids → text, from a table of pieces and a decode plan: no pattern and nothing else from the file that could take
 * long, so it runs in the engine's own thread. Follows Hugging Face's decoders; spaces before punctuation are kept
 * (`clean_up_tokenization_spaces` is not applied), since the text has to stay that of the tokens.
 */
import type { TokenInfo } from '../../../preload/prompt'
import { fromByteCharacters } from './byte-level'
import type { DecodePlan, DecodeStep } from './decode-plan'
import type { DecodeOptions, StreamDecoder } from './types'

/** UTF-8, possibly a part of a character; `raw`: one byte of a run that is only text if the whole run is valid. */
export interface Chunk {
  bytes: Uint8Array
  raw: boolean
}

const utf8 = new TextEncoder()
const nothing: Chunk = { bytes: new Uint8Array(0), raw: false }
const replacement = '\uFFFD'
const lossy = () => new TextDecoder('utf-8', { ignoreBOM: true })
const strict = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true })

export class Detokenizer {
  private readonly chunks = new Map<number, Chunk>()

  /**
   * @param pieces the tokenizer's pieces by id
   * @param special ids of special tokens
   */
  constructor(
    private readonly pieces: readonly (string | undefined)[],
    private readonly special: ReadonlySet<number>,
    private readonly plan: DecodePlan,
  ) {}

  info(id: number): TokenInfo {
    const piece = this.pieces[id]
    const text = piece === undefined ? '' : lossy().decode(this.chunk(id).bytes)
    return { id, piece: piece ?? `#${id}`, text, special: this.special.has(id) }
  }

  /** What a token stands for within a text. */
  chunk(id: number): Chunk {
    let chunk = this.chunks.get(id)
    if (chunk === undefined) {
      const piece = this.pieces[id]
      chunk = piece === undefined ? nothing : makeChunk(piece, this.plan.steps)
      this.chunks.set(id, chunk)
    }
    return chunk
  }

  decode(ids: readonly number[], options: DecodeOptions = {}): string {
    const parts: Uint8Array[] = []
    let run: number[] = []
    const endRun = () => {
      if (run.length > 0) parts.push(textBytesOf(Uint8Array.from(run)))
      run = []
    }
    const chunkOf = this.chunksInOrder(options)
    for (const id of ids) {
      const chunk = chunkOf(id)
      if (chunk === null) continue
      if (chunk.raw) {
        run.push(...chunk.bytes)
      } else {
        endRun()
        parts.push(chunk.bytes)
      }
    }
    endRun()
    return new StartStripper(this.plan).take(lossy().decode(Buffer.concat(parts)))
  }

  stream(options: DecodeOptions = {}): StreamDecoder {
    const decoder = lossy()
    const stripper = new StartStripper(this.plan)
    const chunkOf = this.chunksInOrder(options)
    return {
      push: (id) => stripper.take(decoder.decode(chunkOf(id)?.bytes ?? nothing.bytes, { stream: true })),
      finish: () => stripper.take(decoder.decode()),
    }
  }

  /** The chunks of ids that come one after the other: null where left out, the first one by its own rule. */
  private chunksInOrder(options: DecodeOptions): (id: number) => Chunk | null {
    const { dropInFirst, steps } = this.plan
    let first = dropInFirst !== null
    return (id) => {
      if (options.skipSpecialTokens === true && this.special.has(id)) return null
      const piece = this.pieces[id]
      if (piece === undefined) return null
      if (!first) return this.chunk(id)
      first = false
      return makeChunk(piece.replaceAll(dropInFirst ?? '', ''), steps)
    }
  }
}

/** A run of byte tokens: its text if it is one, else one U+FFFD a byte. */
function textBytesOf(run: Uint8Array): Uint8Array {
  try {
    strict.decode(run)
    return run
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    return utf8.encode(replacement.repeat(run.length))
  }
}

function makeChunk(piece: string, steps: readonly DecodeStep[]): Chunk {
  let text = piece
  for (const step of steps) {
    switch (step.kind) {
      case 'byte-level':
        return { bytes: fromByteCharacters(text), raw: false }
      case 'byte-fallback': {
        const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(text)?.[1]
        if (byte !== undefined) return { bytes: Uint8Array.of(Number.parseInt(byte, 16)), raw: true }
        break
      }
      case 'replace':
        text = text.replaceAll(step.from, () => step.to)
        break
      case 'strip':
        text = stripped(text, step)
        break
      case 'wordpiece':
        text =
          step.prefix !== '' && text.startsWith(step.prefix) ? text.slice(step.prefix.length) : ` ${text}`
        if (step.cleanup) text = cleanedUp(text)
        break
    }
  }
  return { bytes: utf8.encode(text), raw: false }
}

function stripped(text: string, step: { character: string; start: number; stop: number }): string {
  let start = 0
  while (start < step.start && text[start] === step.character) start++
  let stop = text.length
  while (text.length - stop < step.stop && stop > start && text[stop - 1] === step.character) stop--
  return text.slice(start, stop)
}

/** The WordPiece decoder's clean-up, which is part of what its tokens stand for. */
const cleanedUp = (text: string): string =>
  text
    .replace(/ ([.?!,])/g, '$1')
    .replace(/ ' /g, "'")
    .replace(/ (n't|'m|'s|'ve|'re)/g, '$1')

/** Takes from the beginning of a text what the plan says, however the text arrives. */
class StartStripper {
  private left: number
  private readonly character: string

  constructor(plan: DecodePlan) {
    this.left = plan.stripStart?.count ?? 0
    this.character = plan.stripStart?.character ?? ''
  }

  take(text: string): string {
    let at = 0
    while (this.left > 0 && at < text.length) {
      if (text[at] === this.character) {
        at++
        this.left--
      } else this.left = 0
    }
    return text.slice(at)
  }
}
