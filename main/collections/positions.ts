/** Which positions of a row an output keeps. A rule that a row can not follow is an error that names the row's length. */
import vm from 'node:vm'
import { PatchbayError } from '../../preload/errors'
import type { ExtractPositions } from '../../preload/extraction'

/** What rules for positions look at. */
export interface PositionedRow {
  /** Token ids. */
  tokens: readonly number[]
  /** Ascending ranges [from, to) of the tokens that are of the text, not put around it. */
  own: readonly (readonly [number, number])[]
  /** [from, to) of the marked span. */
  span: readonly [number, number] | null
}

/** Whether a token's text matches a rule's pattern. */
export type TokenMatch = (token: number) => boolean

/**
 * The positions that a rule selects of a row, ascending except for `at`, which keeps its own order and takes each once; none
 * where a pattern matches nothing.
 * @throws PatchbayError `input.invalid` where the row has no such position, or no span
 */
export function selectPositions(rule: ExtractPositions, row: PositionedRow, matches: TokenMatch): number[] {
  const length = row.tokens.length
  switch (rule.kind) {
    case 'all':
      return range(0, length)
    case 'last':
      return [length - 1]
    case 'text': {
      const own = row.own.flatMap(([from, to]) => range(from, to))
      if (own.length === 0) throw unfit(row, 'has no token of its own text')
      return own
    }
    case 'at':
      return [
        ...new Set(
          rule.positions.map((position) => within(position < 0 ? length + position : position, row)),
        ),
      ]
    case 'every': {
      if (rule.from >= length) throw unfit(row, `ends before position ${rule.from}`)
      return range(rule.from, length).filter((position) => (position - rule.from) % rule.step === 0)
    }
    case 'matching':
      return range(0, length).filter((position) => matches(row.tokens[position]))
    case 'span':
      return range(...spanOf(row))
    case 'span-offset': {
      const [from, to] = spanOf(row)
      return [within((rule.from === 'first' ? from : to - 1) + rule.offset, row)]
    }
  }
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)

function spanOf(row: PositionedRow): readonly [number, number] {
  if (row.span !== null && row.span[0] < row.span[1]) return row.span
  throw unfit(row, 'has no marked span')
}

function within(position: number, row: PositionedRow): number {
  if (position >= 0 && position < row.tokens.length) return position
  throw unfit(row, `has no position ${position}`)
}

const unfit = (row: PositionedRow, problem: string): PatchbayError =>
  new PatchbayError('input.invalid', `The row of ${row.tokens.length} tokens ${problem}.`, {
    field: 'positions',
    next: 'Choose positions that every row has, or leave the row out.',
  })

/** Long enough for any honest pattern on any vocabulary. */
const PATTERN_MS = 1000

/**
 * Matches tokens' texts with a regular expression (with the flag u), each token once. It runs with a time limit: neither the
 * pattern nor the text is to be trusted.
 * @throws PatchbayError `input.invalid` for what is no regular expression, or one that does not end
 */
export class TokenPattern {
  private readonly known = new Map<number, boolean>()
  private readonly context: vm.Context
  private readonly script: vm.Script

  constructor(
    private readonly pattern: string,
    private readonly limitMs = PATTERN_MS,
  ) {
    try {
      new RegExp(pattern, 'u')
    } catch (cause) {
      throw this.invalid('is no regular expression', cause)
    }
    this.context = vm.createContext(Object.assign(Object.create(null) as object, { pattern, texts: '[]' }))
    this.script = new vm.Script(
      '{ const p = new RegExp(pattern, "u"); JSON.stringify(JSON.parse(texts).map((t) => p.test(t))) }',
    )
  }

  /** Looks at tokens that were not looked at before. */
  learn(tokens: Iterable<{ id: number; text: string }>): void {
    const fresh = [...tokens].filter(({ id }) => !this.known.has(id))
    if (fresh.length === 0) return
    // Texts go in and answers come out as JSON: nothing of the two sides ever meets.
    Object.assign(this.context, { texts: JSON.stringify(fresh.map(({ text }) => text)) })
    let found: boolean[]
    try {
      found = JSON.parse(
        String(this.script.runInContext(this.context, { timeout: this.limitMs })),
      ) as boolean[]
    } catch (cause) {
      throw this.invalid('does not come to an end on the tokens of this data set', cause)
    }
    fresh.forEach(({ id }, i) => this.known.set(id, found[i]))
  }

  readonly matches: TokenMatch = (token) => this.known.get(token) === true

  private invalid(problem: string, cause: unknown): PatchbayError {
    return new PatchbayError('input.invalid', `The pattern ${JSON.stringify(this.pattern)} ${problem}.`, {
      field: 'positions.pattern',
      next: 'Write a regular expression that tokens match, such as ^ the$.',
      cause,
    })
  }
}
