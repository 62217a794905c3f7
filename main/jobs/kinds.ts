/** The kinds of jobs that a queue can do, by name. */
import { PatchbayError } from '../../preload/errors'
import type { CheckedKind, JobKind } from './kind'

export class JobKinds {
  readonly #kinds = new Map<string, CheckedKind>()

  add<Input>(kind: JobKind<Input>): this {
    this.#kinds.set(kind.name, checked(kind))
    return this
  }

  /** @throws PatchbayError `input.invalid` */
  get(name: string): CheckedKind {
    const kind = this.#kinds.get(name)
    if (kind !== undefined) return kind
    throw new PatchbayError('input.invalid', `There is no kind of job called ${JSON.stringify(name)}.`, {
      field: 'kind',
      next: `There are: ${[...this.#kinds.keys()].join(', ')}.`,
    })
  }
}

function checked<Input>(kind: JobKind<Input>): CheckedKind {
  return {
    name: kind.name,
    prepare: (given) => {
      const parsed = kind.input.safeParse(given)
      if (!parsed.success) {
        const [issue] = parsed.error.issues
        const field = issue.path.join('.')
        throw new PatchbayError(
          'input.invalid',
          `The job ${kind.name} can not be started: ${field === '' ? '' : `${field}: `}${issue.message}.`,
          { field, next: 'Correct the setting and start it again.' },
        )
      }
      const input = parsed.data
      return { title: kind.title(input), run: (context) => kind.run(input, context) }
    },
  }
}
