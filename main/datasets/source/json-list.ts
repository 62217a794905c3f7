/**
 * Cuts a JSON list into the texts of its elements as its bytes come, without keeping the list: strings and brackets are
 * followed, everything else is left to `JSON.parse` of each element.
 */
import { isUtf8 } from 'node:buffer'
import { malformed } from '../../models/formats/malformed'

export type ListElement = { readonly text: string } | 'too-long' | 'not-utf8'

const [quote, backslash, comma] = [0x22, 0x5c, 0x2c]
const [openList, closeList, openObject, closeObject] = [0x5b, 0x5d, 0x7b, 0x7d]

export class ListScanner {
  private state: 'before' | 'inside' | 'behind' = 'before'
  /** Brackets that are open inside the element. */
  private depth = 0
  private inString = false
  private escaped = false
  /** What came of the element in earlier chunks; null where it is too long to keep. */
  private begun: Buffer[] | null = []
  private size = 0
  private count = 0

  constructor(
    private readonly path: string,
    private readonly longest: number,
  ) {}

  /** @returns the elements that ended in this chunk */
  push(chunk: Buffer): ListElement[] {
    const found: ListElement[] = []
    let from = 0
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]
      if (this.state !== 'inside') {
        if (byte <= 0x20) continue
        if (this.state === 'behind')
          throw malformed(this.path, 'there is more behind the end of its list', {
            next: 'If each line is a value of its own, none of them may be a list.',
          })
        // The caller looked: it is the bracket.
        this.state = 'inside'
        from = at + 1
      } else if (this.inString) {
        if (this.escaped) this.escaped = false
        else if (byte === backslash) this.escaped = true
        else if (byte === quote) this.inString = false
      } else if (byte === quote) this.inString = true
      else if (byte === openList || byte === openObject) this.depth++
      else if (this.depth > 0) {
        if (byte === closeList || byte === closeObject) this.depth--
      } else if (byte === comma || byte === closeList) {
        const element = this.take(chunk.subarray(from, at))
        // `[]` has no element; after a comma there has to be one.
        const isEmpty = byte === closeList && this.count === 0 && isBlank(element)
        if (!isEmpty) {
          found.push(element)
          this.count++
        }
        from = at + 1
        if (byte === closeList) this.state = 'behind'
      }
    }
    if (this.state === 'inside') this.keep(chunk.subarray(from))
    return found
  }

  /** @throws PatchbayError `file.malformed` where the list has not ended */
  finish(): void {
    if (this.state === 'behind') return
    throw malformed(this.path, `it ends inside element ${this.count + 1} of its list`, {
      next: 'The file is incomplete: what is before can be read.',
      field: `element ${this.count + 1}`,
    })
  }

  private keep(bytes: Buffer): void {
    this.size += bytes.length
    if (this.size > this.longest) this.begun = null
    else this.begun?.push(bytes)
  }

  private take(last: Buffer): ListElement {
    this.keep(last)
    const whole = this.begun === null ? null : Buffer.concat(this.begun)
    this.begun = []
    this.size = 0
    if (whole === null) return 'too-long'
    return isUtf8(whole) ? { text: whole.toString('utf8') } : 'not-utf8'
  }
}

const isBlank = (element: ListElement): boolean => typeof element !== 'string' && element.text.trim() === ''
