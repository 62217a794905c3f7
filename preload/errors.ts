/**
 * The one error class of Patchbay, and its form on the wire.
 * Every error a person can meet has a stable code, a sentence, and what to do next.
 */
import { z } from 'zod'

/** Stable codes: `area.problem`. Scripts and tests rely on them; the sentences may change. */
export const errorCodes = [
  'input.invalid', // a call, request, preset or option that does not fit its schema
  'file.missing',
  'file.unreadable', // permission, I/O error
  'file.malformed', // a model, tensor, preset or data file that breaks its format
  'file.outside', // a path that leaves the folder it belongs to
  'disk.full',
  'disk.failed', // any other write error
  'model.unknown-architecture',
  'model.unsupported', // a known architecture with a setting that is not understood
  'model.incomplete', // a tensor or file that the configuration promises is absent
  'model.not-open',
  'model.mismatch', // a preset or request made for another model
  'tokenizer.unsupported',
  'tokenizer.timeout',
  'template.failed',
  'prompt.empty',
  'prompt.too-long',
  'hook.unknown',
  'hook.unavailable', // exists in general, not in this model or not for this use
  'provider.unavailable',
  'provider.wrong', // computes, but not the CPU's numbers
  'run.failed', // ONNX Runtime refused or failed
  'run.cancelled',
  'run.timeout',
  'memory.exhausted',
  'hub.offline', // a network call in offline mode
  'hub.unreachable', // no connection, or it broke; may pass by itself
  'hub.refused', // private or gated, or the token is wrong
  'hub.missing', // no such repository, revision or file
  'hub.untrusted', // what the hub sent can not be right
  'engine.stopped', // the engine process ended while the call was pending
  'engine.unresponsive',
  'internal', // a defect of ours
] as const
export type ErrorCode = (typeof errorCodes)[number]

export interface ErrorDetails {
  /** What the person can do now; one sentence. */
  next?: string
  /** Where it is wrong: file, field or tensor name, byte offset. */
  file?: string
  field?: string
  offset?: number
  cause?: unknown
}

export class PatchbayError extends Error {
  override readonly name = 'PatchbayError'
  readonly code: ErrorCode
  readonly next: string | undefined
  readonly file: string | undefined
  readonly field: string | undefined
  readonly offset: number | undefined

  /**
   * @param code stable code
   * @param message one sentence saying what is wrong and where
   * @param details what to do next, and the place
   */
  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.next = details.next
    this.file = details.file
    this.field = details.field
    this.offset = details.offset
  }
}

/** The form in which an error crosses a process boundary. */
export const wireError = z.object({
  code: z.enum(errorCodes),
  message: z.string(),
  next: z.string().optional(),
  file: z.string().optional(),
  field: z.string().optional(),
  offset: z.number().optional(),
})
export type WireError = z.infer<typeof wireError>

/** Any thrown value as a PatchbayError; what is not one already becomes `internal` (or a file error by its errno). */
export function asPatchbayError(thrown: unknown): PatchbayError {
  if (thrown instanceof PatchbayError) return thrown
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  const errno = errnoOf(thrown)
  const file =
    thrown instanceof Error && 'path' in thrown && typeof thrown.path === 'string' ? thrown.path : undefined
  if (errno === 'ENOSPC' || errno === 'EDQUOT')
    return new PatchbayError(
      'disk.full',
      `The disk is full${file === undefined ? '' : ` (writing ${file})`}.`,
      {
        next: 'Free some space and try again; nothing that was stored before is lost.',
        file,
        cause: thrown,
      },
    )
  if (errno === 'ENOENT')
    return new PatchbayError('file.missing', `There is no file ${file ?? ''}.`, {
      next: 'Check the path; the file may have been moved.',
      file,
      cause: thrown,
    })
  if (errno === 'EACCES' || errno === 'EPERM' || errno === 'EISDIR')
    return new PatchbayError(
      'file.unreadable',
      `${file ?? 'A file'} can not be read or written (${errno}).`,
      {
        next: 'Check its permissions.',
        file,
        cause: thrown,
      },
    )
  if (errno === 'EIO' || errno === 'EROFS')
    return new PatchbayError('disk.failed', `The disk refused a write or a read (${errno}).`, {
      next: 'Check the disk; nothing half-written was kept.',
      file,
      cause: thrown,
    })
  return new PatchbayError('internal', message, {
    next: 'This is a defect in Patchbay; please report it with what you did.',
    cause: thrown,
  })
}

const errnoOf = (thrown: unknown): string | undefined =>
  thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : undefined

export function toWire(error: PatchbayError): WireError {
  const { code, message, next, file, field, offset } = error
  return { code, message, next, file, field, offset }
}

export function fromWire(wire: WireError): PatchbayError {
  return new PatchbayError(wire.code, wire.message, wire)
}
