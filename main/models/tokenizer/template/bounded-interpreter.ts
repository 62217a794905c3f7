/**
 * Jinja with limits. The interpreter already keeps a template away from everything but its inputs, but not from memory:
 * a single string or array beyond the heap's limit aborts the whole process, not only the worker. So every value is
 * measured when it appears, steps are counted, and the one primitive that makes a huge string in one go is guarded.
 */
import { Interpreter } from '@huggingface/jinja'
import type { Environment } from '@huggingface/jinja'
import { longestText } from '../limits'

type Node = Parameters<Interpreter['evaluate']>[0]
type Value = ReturnType<Interpreter['evaluate']>

/** Evaluated nodes; a chat of a thousand messages needs some hundred thousand. */
const mostSteps = 5_000_000
const mostItems = 131_072

export class TemplateLimit extends Error {}

export class BoundedInterpreter extends Interpreter {
  private steps = 0

  override evaluate(statement: Node, environment: Environment): Value {
    if (++this.steps > mostSteps) throw new TemplateLimit(`it takes more than ${mostSteps} steps`)
    const result = super.evaluate(statement, environment)
    measure(result.value)
    return result
  }
}

function measure(value: unknown): void {
  if (typeof value === 'string' && value.length > longestText)
    throw new TemplateLimit(`it makes a string of ${value.length} characters`)
  if (Array.isArray(value) && value.length > mostItems)
    throw new TemplateLimit(`it makes a list of ${value.length} items`)
}

/** Python's range, refused before it is built when it is too long. */
export function boundedRange(start: number, stop?: number, step = 1): number[] {
  const [from, to] = stop === undefined ? [0, start] : [start, stop]
  if (step === 0) throw new Error('range() step must not be zero')
  const count = Math.max(0, Math.ceil((to - from) / step))
  if (!(count <= mostItems)) throw new TemplateLimit(`it asks for a range of ${count} numbers`)
  return Array.from({ length: count }, (_, i) => from + i * step)
}

/**
 * Runs `work` with `Array.prototype.join` refusing results longer than a text may be: the join filter and the printing
 * of nested lists call it, and both can ask for half a gigabyte at once. Only ever called in the worker's own realm.
 */
export function withBoundedJoin<T>(work: () => T): T {
  const original = Reflect.get<typeof Array.prototype, 'join'>(Array.prototype, 'join')
  Array.prototype.join = function bounded(this: unknown[], separator?: string): string {
    let length = 0
    for (const item of this)
      length += (typeof item === 'string' ? item.length : 24) + (separator?.length ?? 1)
    if (length > 4 * longestText) throw new TemplateLimit(`it joins strings of ${length} characters`)
    return original.call(this, separator)
  }
  try {
    return work()
  } finally {
    Array.prototype.join = original
  }
}
