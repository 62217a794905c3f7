/**
 * How the elements of a tensor are stored: the plain types of safetensors under their names there, and GGUF's block
 * types under theirs. A block type packs `elements` consecutive elements of a row into `bytes` bytes.
 */

/** GGUF tensor types that pack several elements into one block with common scales. */
export type GgufBlockType =
  | 'Q4_0'
  | 'Q4_1'
  | 'Q5_0'
  | 'Q5_1'
  | 'Q8_0'
  | 'Q2_K'
  | 'Q3_K'
  | 'Q4_K'
  | 'Q5_K'
  | 'Q6_K'
  | 'IQ1_S'
  | 'IQ1_M'
  | 'IQ2_XXS'
  | 'IQ2_XS'
  | 'IQ2_S'
  | 'IQ3_XXS'
  | 'IQ3_S'
  | 'IQ4_NL'
  | 'IQ4_XS'
  | 'TQ1_0'
  | 'TQ2_0'
  | 'MXFP4'
  | 'NVFP4'

/** Types with one element after the other. */
export type PlainType =
  | 'F64'
  | 'F32'
  | 'F16'
  | 'BF16'
  | 'F8_E4M3'
  | 'F8_E5M2'
  | 'I64'
  | 'I32'
  | 'I16'
  | 'I8'
  | 'U64'
  | 'U32'
  | 'U16'
  | 'U8'
  | 'BOOL'

export type StorageType = PlainType | GgufBlockType

/** Bytes of one element of each plain type. */
export const plainBytes: Readonly<Record<PlainType, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
}

interface Block {
  readonly elements: number
  readonly bytes: number
}

/** Elements and bytes of one block of each GGUF block type (ggml's `blck_size` and `type_size`). */
export const ggufBlocks: Readonly<Record<GgufBlockType, Block>> = {
  Q4_0: { elements: 32, bytes: 18 },
  Q4_1: { elements: 32, bytes: 20 },
  Q5_0: { elements: 32, bytes: 22 },
  Q5_1: { elements: 32, bytes: 24 },
  Q8_0: { elements: 32, bytes: 34 },
  Q2_K: { elements: 256, bytes: 84 },
  Q3_K: { elements: 256, bytes: 110 },
  Q4_K: { elements: 256, bytes: 144 },
  Q5_K: { elements: 256, bytes: 176 },
  Q6_K: { elements: 256, bytes: 210 },
  IQ1_S: { elements: 256, bytes: 50 },
  IQ1_M: { elements: 256, bytes: 56 },
  IQ2_XXS: { elements: 256, bytes: 66 },
  IQ2_XS: { elements: 256, bytes: 74 },
  IQ2_S: { elements: 256, bytes: 82 },
  IQ3_XXS: { elements: 256, bytes: 98 },
  IQ3_S: { elements: 256, bytes: 110 },
  IQ4_NL: { elements: 32, bytes: 18 },
  IQ4_XS: { elements: 256, bytes: 136 },
  TQ1_0: { elements: 256, bytes: 54 },
  TQ2_0: { elements: 256, bytes: 66 },
  MXFP4: { elements: 32, bytes: 17 },
  NVFP4: { elements: 64, bytes: 36 },
}

export const isPlainType = (name: string): name is PlainType => Object.hasOwn(plainBytes, name)

export const isBlockType = (name: string): name is GgufBlockType => Object.hasOwn(ggufBlocks, name)

/** Elements and bytes of the smallest unit of a type: one element, or one block. */
export const unitOf = (storage: StorageType): Block =>
  isBlockType(storage) ? ggufBlocks[storage] : { elements: 1, bytes: plainBytes[storage] }

/**
 * The product of a shape, or undefined where it is no whole number below 2^53 or a dimension is none.
 * An empty shape is a scalar: 1.
 */
export function elementsOf(shape: readonly number[]): number | undefined {
  let product = 1
  let overflow = false
  for (const dimension of shape) {
    if (!Number.isSafeInteger(dimension) || dimension < 0) return undefined
    if (dimension === 0) return shape.every((n) => Number.isSafeInteger(n) && n >= 0) ? 0 : undefined
    product *= dimension
    if (product > Number.MAX_SAFE_INTEGER) overflow = true
  }
  return overflow ? undefined : product
}

/**
 * Bytes that a tensor takes in a file. Undefined where the shape is impossible: an overflowing product, or rows
 * (the innermost dimension) that are not whole blocks.
 */
export function byteLengthOf(storage: StorageType, shape: readonly number[]): number | undefined {
  const elements = elementsOf(shape)
  if (elements === undefined) return undefined
  const unit = unitOf(storage)
  if (unit.elements > 1 && (shape.at(-1) ?? 1) % unit.elements !== 0) return undefined
  const bytes = (elements / unit.elements) * unit.bytes
  return Number.isSafeInteger(bytes) ? bytes : undefined
}
