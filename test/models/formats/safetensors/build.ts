/** Builds safetensors files from their header's text, right or wrong in exactly one place. */

/** Length, header text and data. `length` overrides the true one. */
export function safetensors(
  header: string | object,
  data: number | Uint8Array = 0,
  length?: bigint,
): Uint8Array {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header), 'utf8')
  const prefix = Buffer.alloc(8)
  prefix.writeBigUInt64LE(length ?? BigInt(text.length))
  return Buffer.concat([prefix, text, typeof data === 'number' ? Buffer.alloc(data) : data])
}

/** The header entry of one tensor. */
export const entry = (dtype: string, shape: readonly number[], begin: number, end: number) => ({
  dtype,
  shape,
  data_offsets: [begin, end],
})
