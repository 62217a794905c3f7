/** The two things a reader of tokenizer files can say: this breaks the format, or this is not supported here. */
import { z } from 'zod'
import { PatchbayError } from '../../../../preload/errors'
import { quoted } from '../../formats/malformed'

/** @param problem what is wrong with the field: a predicate without its full stop, e.g. "should be a string" */
export function malformedField(field: string, problem: string, cause?: unknown): PatchbayError {
  return new PatchbayError('file.malformed', `The tokenizer is malformed: ${field} ${problem}.`, {
    field,
    cause,
    next: 'The file is damaged, or was edited by hand: download or convert it again.',
  })
}

/** @param what a noun phrase: `the pre-tokenizer type "x"` */
export function unsupported(what: string, field: string): PatchbayError {
  return new PatchbayError(
    'tokenizer.unsupported',
    `This tokenizer needs ${what}, which Patchbay does not have.`,
    {
      field,
      next: 'Use the same model with a tokenizer.json, or give token ids instead of text.',
    },
  )
}

/** `value` by `schema`; @throws `file.malformed` naming the field below `field` */
export function checked<T>(schema: z.ZodType<T>, value: unknown, field: string): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  const place = [field, ...issue.path.map(String)].filter((part) => part !== '').join('.')
  throw malformedField(place, `is not as it should be (${issue.message})`)
}

type Schemas = Record<string, z.ZodType<object>>
/** A component `{type: name, …}` by a table from name to the schema of its other fields. */
export type Component<S extends Schemas> = { [K in keyof S & string]: { type: K } & z.infer<S[K]> }[keyof S &
  string]

const typed = z.looseObject({ type: z.string() })

/** @throws `file.malformed` naming the field, `tokenizer.unsupported` naming the type */
export function readComponent<S extends Schemas>(schemas: S, value: unknown, field: string): Component<S> {
  const { type } = checked(typed, value, field)
  const schema = Object.hasOwn(schemas, type) ? schemas[type] : undefined
  if (schema === undefined) throw unsupported(`the component ${quoted(type)} (${field})`, field)
  return { ...checked(schema, value, field), type } as Component<S>
}
