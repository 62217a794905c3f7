/**
 * Where each token lies in the text that was tokenised: the tokens' bytes are laid along the text's, which also works
 * for tokenizers whose library reports no offsets.
 */

export interface Span {
  /** UTF-16 offsets; a token inside a character spans the whole character */
  start: number
  end: number
}

const lookAhead = 256
const space = 0x20

/** UTF-16 index of the character that each byte belongs to, and one entry for the end. */
function characterStarts(text: string, size: number): Uint32Array {
  const starts = new Uint32Array(size + 1)
  let byte = 0
  for (let at = 0; at < text.length;) {
    const code = text.codePointAt(at)!
    const width = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
    starts.fill(at, byte, byte + width)
    byte += width
    at += width === 4 ? 2 : 1
  }
  starts[size] = text.length
  return starts
}

/**
 * @param text what was tokenised
 * @param chunks UTF-8 of each token, in order
 * @returns a span for each token; null where its bytes are not in the text (a normalizer changed it)
 */
export function locate(text: string, chunks: readonly Uint8Array[]): (Span | null)[] {
  const bytes = Buffer.from(text)
  const starts = characterStarts(text, bytes.length)
  const matches = (chunk: Uint8Array, at: number): boolean =>
    at + chunk.length <= bytes.length && bytes.compare(chunk, 0, chunk.length, at, at + chunk.length) === 0
  let done = 0

  /** Where the chunk lies from `done` on: here, or a little further on; −1 where it is not. */
  const find = (chunk: Uint8Array): number => {
    if (matches(chunk, done)) return done
    const found = bytes.subarray(0, done + lookAhead + chunk.length).indexOf(chunk, done)
    return found
  }

  return chunks.map((chunk) => {
    if (chunk.length === 0) return null
    let at = matches(chunk, done) ? done : -1
    let used = chunk
    if (at < 0 && chunk[0] === space && chunk.length > 1) {
      // A space that the tokenizer put before the first word.
      used = chunk.subarray(1)
      at = matches(used, done) ? done : -1
    }
    if (at < 0) {
      used = chunk
      at = find(chunk)
    }
    if (at < 0) return null
    const start = starts[at]
    let last = at + used.length
    // Up to the end of the character that the last byte is in.
    while (last < bytes.length && starts[last] === starts[last - 1]) last++
    done = at + used.length
    return { start, end: starts[last] }
  })
}
