/** A file name made from text that a model, a prompt or a preset chose. */

/** Names that Windows keeps for devices, whatever the extension. */
const reserved = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i

const maxBytes = 120

/**
 * A single harmless file name: no folders, no control or direction-changing characters, nothing that is hidden, reserved
 * or too long for a file system. Keeps the extension.
 * @param suggested any text
 * @param fallback used where nothing is left
 */
export function safeFileName(suggested: string, fallback = 'patchbay'): string {
  const flat = suggested
    .normalize('NFC')
    .replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '')
    .replace(/[\\/:*?"<>]/g, '-')
    .replace(/\s+/g, ' ')
    .replace(/^[\s.~-]+/, '')
    .replace(/[\s.]+$/, '')
  const extension = /\.[A-Za-z0-9]{1,12}$/.exec(flat)?.[0] ?? ''
  const stem = cut(flat.slice(0, flat.length - extension.length), maxBytes - extension.length).trimEnd()
  const name = stem === '' ? fallback + extension : stem + extension
  return reserved.test(name) ? `_${name}` : name
}

/** The longest beginning of `text` within so many UTF-8 bytes, by whole characters. */
function cut(text: string, bytes: number): string {
  let used = 0
  let kept = ''
  for (const character of text) {
    used += Buffer.byteLength(character)
    if (used > bytes) break
    kept += character
  }
  return kept
}
