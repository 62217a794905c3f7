/** Which token-to-token lines of one head are worth drawing: never more than the eye, and the document, can take. */

export interface AttentionLine {
  query: number
  key: number
  weight: number
}

/** Weaker attention than this is not drawn. */
export const faintest = 0.02
/** At most so many lines; the strongest win. */
export const mostLines = 1200

export interface LineRange {
  /** First and last query whose lines are drawn. */
  first: number
  last: number
  /** Only this query's lines, all that are visible at all. */
  only: number | null
}

/**
 * @param pattern [q_pos, k_pos] of one head, row-major, n × n
 * @returns strongest last, so that they are drawn on top
 */
export function attentionLines(
  pattern: Float32Array,
  n: number,
  { first, last, only }: LineRange,
): AttentionLine[] {
  const lines: AttentionLine[] = []
  const threshold = only === null ? faintest : faintest / 10
  const from = Math.max(0, only ?? first)
  const to = Math.min(n - 1, only ?? last)
  for (let query = from; query <= to; query++)
    for (let key = 0; key <= query; key++) {
      const weight = pattern[query * n + key]
      if (weight >= threshold) lines.push({ query, key, weight })
    }
  lines.sort((a, b) => a.weight - b.weight)
  return lines.length > mostLines ? lines.slice(-mostLines) : lines
}

/** A curve from the query's row on the left to the key's on the right. */
export function linePath({ query, key }: AttentionLine, row: number, width: number): string {
  const from = (query + 0.5) * row
  const to = (key + 0.5) * row
  return `M0 ${from}C${width / 2} ${from} ${width / 2} ${to} ${width} ${to}`
}
