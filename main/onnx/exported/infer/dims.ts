/**
 * Arithmetic on dimensions that may be symbols, as far as graphs of language models need it: sums (`past+sequence`),
 * differences of sums, products (`batch*sequence`), and what is not known as a symbol of its own.
 */
import { product, type Dim } from '../../graph'

/** A symbol that equals nothing else. */
export class FreshSymbols {
  #count = 0

  next(): string {
    return `unknown_${++this.#count}`
  }
}

interface Terms {
  readonly number: number
  readonly symbols: readonly string[]
}

function termsOf(dim: Dim): Terms {
  if (typeof dim === 'number') return { number: dim, symbols: [] }
  let number = 0
  const symbols: string[] = []
  for (const part of dim.split('+')) {
    if (/^\d+$/.test(part)) number += Number(part)
    else symbols.push(part)
  }
  return { number, symbols }
}

function fromTerms({ number, symbols }: Terms): Dim {
  if (symbols.length === 0) return number
  return [...symbols.toSorted(), ...(number === 0 ? [] : [String(number)])].join('+')
}

export function sum(a: Dim, b: Dim): Dim | null {
  const [x, y] = [termsOf(a), termsOf(b)]
  const total = { number: x.number + y.number, symbols: [...x.symbols, ...y.symbols] }
  return total.number < 0 && total.symbols.length > 0 ? null : fromTerms(total)
}

export function difference(a: Dim, b: Dim): Dim | null {
  const [x, y] = [termsOf(a), termsOf(b)]
  const left = [...x.symbols]
  for (const symbol of y.symbols) {
    const index = left.indexOf(symbol)
    if (index === -1) return null
    left.splice(index, 1)
  }
  const number = x.number - y.number
  return number < 0 && left.length > 0 ? null : fromTerms({ number, symbols: left })
}

export function times(a: Dim, b: Dim): Dim | null {
  if (typeof a === 'number' && typeof b === 'number') return a * b
  if (a === 1) return b
  if (b === 1) return a
  if ([a, b].some((dim) => typeof dim === 'number' && dim <= 0)) return a === 0 || b === 0 ? 0 : null
  return product([a, b])
}

/** Whole quotient of numbers; of a symbol only by 1. */
export function quotient(a: Dim, b: Dim): Dim | null {
  if (typeof a === 'number' && typeof b === 'number') return b === 0 ? null : Math.trunc(a / b)
  return b === 1 ? a : null
}

/**
 * Shape of an element-by-element operation. Where two symbols meet that are not known to be equal, one of them must be 1
 * at run time or they are equal; the first is taken.
 */
export function broadcastShapes(a: readonly Dim[], b: readonly Dim[]): Dim[] {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - rank + a.length] ?? 1
    const y = b[i - rank + b.length] ?? 1
    if (x === 1) return y
    return typeof y === 'number' && y !== 1 ? y : x
  })
}
