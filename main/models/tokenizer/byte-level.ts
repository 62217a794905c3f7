/**
 * GPT-2's byte alphabet: every byte has a printable character, so that byte-level BPE can keep its vocabulary as text.
 * Printable Latin-1 stands for itself; the other 68 bytes get U+0100 upwards, in order.
 */

const ownCharacter = (byte: number): boolean =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae

/** The character of each byte, by byte. */
export const characterOfByte: readonly string[] = (() => {
  let next = 0x100
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(ownCharacter(byte) ? byte : next++))
})()

/** The byte of each of those characters. */
export const byteOfCharacter: ReadonlyMap<string, number> = new Map(
  characterOfByte.map((character, byte) => [character, byte]),
)

const utf8 = new TextEncoder()

/** Text as its UTF-8 bytes, each written as its character. */
export function toByteCharacters(text: string): string {
  if (/^[!-~]*$/.test(text)) return text
  let characters = ''
  for (const byte of utf8.encode(text)) characters += characterOfByte[byte]
  return characters
}

/** The bytes that a byte-level piece stands for; a piece with characters outside the alphabet stands for its own UTF-8. */
export function fromByteCharacters(piece: string): Uint8Array {
  const bytes = new Uint8Array(piece.length)
  for (let i = 0; i < piece.length; i++) {
    const byte = byteOfCharacter.get(piece[i])
    if (byte === undefined) return utf8.encode(piece)
    bytes[i] = byte
  }
  return bytes
}
