/** Text chunks of PNG files (PNG 1.2, 11.3.4): keyword and text, behind the header. */

const signatureLength = 8

/**
 * A PNG with texts added.
 * @param texts by keyword (Latin-1, at most 79 letters); what is not ASCII in a text is written as JSON writes it, \uXXXX
 */
export function withPngText(png: Uint8Array, texts: Readonly<Record<string, string>>): Uint8Array {
  // The first chunk is the header: length, type, 13 bytes, checksum.
  const behindHeader = signatureLength + 8 + 13 + 4
  const chunks = Object.entries(texts).map(([keyword, text]) => chunk('tEXt', `${keyword}\0${ascii(text)}`))
  return joined([png.subarray(0, behindHeader), ...chunks, png.subarray(behindHeader)])
}

const ascii = (text: string): string =>
  text.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)

function chunk(type: string, text: string): Uint8Array {
  const content = Uint8Array.from(type + text, (letter) => letter.charCodeAt(0))
  const bytes = new Uint8Array(content.length + 8)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, text.length)
  bytes.set(content, 4)
  view.setUint32(4 + content.length, checksum(content))
  return bytes
}

/** CRC-32 as PNG has it (annex D). */
function checksum(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  }
  return (crc ^ 0xffffffff) >>> 0
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
