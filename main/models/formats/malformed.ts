/**
 * The errors of file readers. Each names the file, the field and the byte; names out of a file are quoted and cut, since
 * they may be anything.
 */
import path from 'node:path'
import { PatchbayError, asPatchbayError } from '../../../preload/errors'

interface Place {
  /** Tensor, key or header field. */
  field?: string
  /** Byte from the start of the file. */
  offset?: number
  next?: string
  cause?: unknown
}

const longestShown = 80

/** A name from a file as it may stand in a sentence: quoted, control characters escaped, cut after 80 characters. */
export function quoted(name: string): string {
  const shown = name.length > longestShown ? `${name.slice(0, longestShown)}…` : name
  return JSON.stringify(shown).replace(/[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, (c) => {
    return `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

/** What is wrong with the content of `file`: one sentence without its full stop. */
export function malformed(file: string, problem: string, place: Place = {}): PatchbayError {
  const where = place.offset === undefined ? '' : ` (byte ${place.offset})`
  return new PatchbayError('file.malformed', `${path.basename(file)}: ${problem}${where}.`, {
    next: place.next ?? 'The file is damaged or incomplete: download or convert it again.',
    file,
    field: place.field,
    offset: place.offset,
    cause: place.cause,
  })
}

/** A failure of the operating system while opening or reading `file`. */
export function readFailure(file: string, cause: unknown): PatchbayError {
  if (cause instanceof PatchbayError) return cause
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ERR_INVALID_ARG_VALUE' || code === 'ENAMETOOLONG')
    return new PatchbayError('file.missing', `There is no file ${quoted(file)}.`, {
      next: 'Check the path; the file may have been moved.',
      file,
      cause,
    })
  if (typeof code === 'string' && /^E[A-Z0-9]+$/.test(code))
    return new PatchbayError('file.unreadable', `${quoted(file)} can not be read (${code}).`, {
      next: 'Check its permissions and the disk it lies on.',
      file,
      cause,
    })
  return asPatchbayError(cause)
}
