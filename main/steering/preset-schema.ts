/** Presets as text: strict reading with errors that name file and field, and one canonical way of writing. */
import { z } from 'zod'
import type { PatchbayError } from '../../preload/errors'
import { preset, type Preset } from '../../preload/preset'
import { malformed, quoted } from '../models/formats/malformed'
import { parseStrictJson } from '../models/formats/strict-json'

/** Larger than any preset: notes are at most 20,000 characters, sites at most 256. */
export const maxPresetBytes = 4 * 2 ** 20

/**
 * Reads a preset.
 * @param file stands for its place in error messages
 * @throws PatchbayError `file.malformed` naming file and field, for what is no JSON, has another format or version, lacks
 * something, or says something that this version does not know
 */
export function parsePreset(bytes: Uint8Array, file: string): Preset {
  const json = parseStrictJson(decodeUtf8(bytes, file), { file })
  checkVersion(json, file)
  const parsed = preset.safeParse(json)
  if (!parsed.success) throw presetError(parsed.error, file)
  return parsed.data
}

/** The text of a preset file; equal presets give equal text. */
export const presetText = (value: Preset): string => `${JSON.stringify(preset.parse(value), null, 2)}\n`

function decodeUtf8(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw malformed(file, 'is not UTF-8 text', { cause })
  }
}

/** First, because a preset of a later version is not broken: a newer Patchbay reads it. */
function checkVersion(json: unknown, file: string): void {
  const head = z.object({ format: z.literal('patchbay.preset'), version: z.number() }).safeParse(json)
  if (!head.success)
    throw malformed(file, 'is not a Patchbay preset', {
      field: head.error.issues[0].path.join('.'),
      next: 'Choose a preset file that Patchbay has written.',
    })
  if (head.data.version !== 1)
    throw malformed(file, `is a preset of version ${head.data.version}; this Patchbay reads version 1`, {
      field: 'version',
      next: 'Open it with a newer Patchbay; it was left as it is.',
    })
}

function presetError(error: z.ZodError, file: string): PatchbayError {
  const [issue] = error.issues
  const unknown = issue.code === 'unrecognized_keys' ? issue.keys[0] : undefined
  const field = [...issue.path.map(String), ...(unknown === undefined ? [] : [unknown])].join('.')
  const problem =
    unknown === undefined ? `${quoted(field)}: ${issue.message}` : `${quoted(field)} is unknown here`
  return malformed(file, problem, {
    field,
    next: 'Correct the named field, or delete the file.',
    cause: error,
  })
}
