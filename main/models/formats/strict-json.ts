/**
 * JSON as the headers and configurations of model files need it: JSON.parse keeps the last of two equal keys, recurses
 * as deep as a file asks and says little about where it failed. This reader refuses duplicates and depth, names the
 * byte, and returns objects without a prototype, so that `__proto__` is a key like any other.
 */
import { malformed, quoted } from './malformed'

export interface JsonOptions {
  /** For error messages. */
  file: string
  /** Byte in the file at which the text starts; 0 if not given. */
  start?: number
  /** Deepest nesting of objects and arrays; 32 if not given. */
  maxDepth?: number
  /** Makes a value of a number literal; Number if not given. */
  number?: (literal: string) => number
  /** Accept NaN, Infinity and -Infinity, as Python's json writes them. */
  pythonNumbers?: boolean
}

export type JsonObject = { [key: string]: unknown }

export const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const numberGrammar = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/
const words = ['true', 'false', 'null', 'NaN', 'Infinity', '-Infinity']
const quotationMark = 34
const backslash = 92
/**
 * An empty array takes three bytes of JSON and tens of bytes of memory: this bounds what a hostile file can make of
 * itself. The largest real header or index has some hundred thousand values.
 */
const mostValues = 2_000_000
/** Longer than any number that means something; keeps the grammar's expression away from megabytes of digits. */
const longestNumber = 400

/** @throws PatchbayError `file.malformed` naming the byte */
export function parseStrictJson(text: string, options: JsonOptions): unknown {
  return new Parser(text, options).document()
}

class Parser {
  private at = 0
  private readonly maxDepth: number
  private values = 0
  private readonly toNumber: (literal: string) => number

  constructor(
    private readonly text: string,
    private readonly options: JsonOptions,
  ) {
    this.maxDepth = options.maxDepth ?? 32
    this.toNumber = options.number ?? Number
  }

  document(): unknown {
    const value = this.value(0)
    this.skipSpace()
    if (this.at < this.text.length) throw this.error('there is something after the end of the JSON')
    return value
  }

  private value(depth: number): unknown {
    this.skipSpace()
    if (++this.values > mostValues) throw this.error(`there are more than ${mostValues} values`)
    const first = this.text[this.at]
    if (first === '{' || first === '[') {
      if (depth >= this.maxDepth) throw this.error(`the JSON is nested more than ${this.maxDepth} deep`)
      return first === '{' ? this.object(depth + 1) : this.array(depth + 1)
    }
    if (first === '"') return this.string()
    const word = words.find((candidate) => this.text.startsWith(candidate, this.at))
    return word === undefined ? this.number() : this.word(word)
  }

  private word(word: string): unknown {
    this.at += word.length
    if (word === 'true') return true
    if (word === 'false') return false
    if (word === 'null') return null
    if (this.options.pythonNumbers !== true) throw this.error(`JSON has no ${word}`)
    return Number(word)
  }

  private object(depth: number): JsonObject {
    const members = Object.create(null) as JsonObject
    this.at++
    if (this.next('}')) return members
    do {
      this.skipSpace()
      const start = this.at
      const key = this.string()
      if (key in members) {
        this.at = start
        throw this.error(`${quoted(key)} is there twice`, key)
      }
      if (!this.next(':')) throw this.error('a colon is expected')
      members[key] = this.value(depth)
    } while (this.next(','))
    if (!this.next('}')) throw this.error('a comma or } is expected')
    return members
  }

  private array(depth: number): unknown[] {
    const items: unknown[] = []
    this.at++
    if (this.next(']')) return items
    do items.push(this.value(depth))
    while (this.next(','))
    if (!this.next(']')) throw this.error('a comma or ] is expected')
    return items
  }

  private number(): number {
    let end = this.at
    while (end < this.text.length && '+-.0123456789eE'.includes(this.text[end])) end++
    const literal = this.text.slice(this.at, end)
    if (literal.length > longestNumber || !numberGrammar.test(literal))
      throw this.error('a JSON value is expected')
    this.at = end
    return this.toNumber(literal)
  }

  private string(): string {
    if (this.text[this.at] !== '"') throw this.error('a string is expected')
    const start = this.at
    let end = start + 1
    let escaped = false
    for (;;) {
      const code = this.text.charCodeAt(end)
      if (code === quotationMark) break
      if (!(code >= 32)) throw this.error('a string does not end, or has a control character in it')
      if (code === backslash) escaped = true
      end += code === backslash ? 2 : 1
    }
    this.at = end + 1
    if (!escaped) return this.text.slice(start + 1, end)
    return this.unescape(start)
  }

  private unescape(start: number): string {
    const literal = this.text.slice(start, this.at)
    let decoded: unknown
    try {
      decoded = JSON.parse(literal)
    } catch (cause) {
      this.at = start
      throw this.error('a string has an escape that JSON does not know', undefined, cause)
    }
    if (typeof decoded === 'string' && !/\p{Surrogate}/u.test(decoded)) return decoded
    this.at = start
    throw this.error('a string is not valid Unicode (half of a surrogate pair)')
  }

  private next(character: string): boolean {
    this.skipSpace()
    if (this.text[this.at] !== character) return false
    this.at++
    return true
  }

  private skipSpace(): void {
    while (' \t\n\r'.includes(this.text[this.at] ?? 'end')) this.at++
  }

  private error(problem: string, field?: string, cause?: unknown) {
    const offset = (this.options.start ?? 0) + Buffer.byteLength(this.text.slice(0, this.at))
    return malformed(this.options.file, problem, { offset, field, cause })
  }
}
