/**
 * GGUF's typed metadata values, and how the readers of architectures and tokenizers ask for them: by key and expected
 * kind, with one clear error where a file says something of another kind.
 */
import { PatchbayError } from '../../../../preload/errors'

export type GgufIntegerType = 'uint8' | 'int8' | 'uint16' | 'int16' | 'uint32' | 'int32'
export type GgufNumberType = GgufIntegerType | 'float32' | 'float64'

/** The data of an array of numbers: the typed array of its element type. */
export type GgufNumbers =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array

export type GgufArray =
  | { type: 'array'; of: GgufNumberType | 'uint64' | 'int64'; value: GgufNumbers }
  | { type: 'array'; of: 'bool'; value: readonly boolean[] }
  | { type: 'array'; of: 'string'; value: readonly string[] }
  | { type: 'array'; of: 'array'; value: readonly GgufArray[] }

/** One metadata value as the file types it. */
export type GgufValue =
  | { type: GgufNumberType; value: number }
  | { type: 'uint64' | 'int64'; value: bigint }
  | { type: 'bool'; value: boolean }
  | { type: 'string'; value: string }
  | GgufArray

export type GgufMetadata = ReadonlyMap<string, GgufValue>

const wrongKind = (key: string, value: GgufValue, wanted: string): PatchbayError =>
  new PatchbayError(
    'file.malformed',
    `The metadata value "${key}" should be ${wanted}, but the file stores ${
      value.type === 'array' ? `an array of ${value.of}` : value.type
    }.`,
    { field: key, next: 'Convert the model to GGUF again with a current converter.' },
  )

/** The number under `key`, of whatever numeric type; undefined where absent. Integers beyond 2^53 are refused. */
export function ggufNumber(metadata: GgufMetadata, key: string): number | undefined {
  const found = metadata.get(key)
  if (found === undefined) return undefined
  if (typeof found.value === 'number') return found.value
  if (typeof found.value === 'bigint' && Number.isSafeInteger(Number(found.value))) return Number(found.value)
  throw wrongKind(key, found, 'a number')
}

/** The string under `key`; undefined where absent. */
export function ggufString(metadata: GgufMetadata, key: string): string | undefined {
  const found = metadata.get(key)
  if (found === undefined) return undefined
  if (found.type === 'string') return found.value
  throw wrongKind(key, found, 'a string')
}

/** The boolean under `key`; undefined where absent. */
export function ggufBoolean(metadata: GgufMetadata, key: string): boolean | undefined {
  const found = metadata.get(key)
  if (found === undefined) return undefined
  if (found.type === 'bool') return found.value
  throw wrongKind(key, found, 'true or false')
}

/** The array of numbers under `key`; undefined where absent. 64-bit elements beyond 2^53 are refused. */
export function ggufNumbers(metadata: GgufMetadata, key: string): readonly number[] | undefined {
  const found = metadata.get(key)
  if (found === undefined) return undefined
  if (found.type !== 'array' || found.of === 'string' || found.of === 'array' || found.of === 'bool')
    throw wrongKind(key, found, 'an array of numbers')
  const numbers = Array.from(found.value as Iterable<number | bigint>, Number)
  if (typeof found.value[0] === 'bigint' && !numbers.every(Number.isSafeInteger))
    throw wrongKind(key, found, 'an array of numbers below 2^53')
  return numbers
}

/** The array of strings under `key`; undefined where absent. */
export function ggufStrings(metadata: GgufMetadata, key: string): readonly string[] | undefined {
  const found = metadata.get(key)
  if (found === undefined) return undefined
  if (found.type === 'array' && found.of === 'string') return found.value
  throw wrongKind(key, found, 'an array of strings')
}

/** The array of booleans under `key`; undefined where absent. */
export function ggufBooleans(metadata: GgufMetadata, key: string): readonly boolean[] | undefined {
  const found = metadata.get(key)
  if (found === undefined) return undefined
  if (found.type === 'array' && found.of === 'bool') return found.value
  throw wrongKind(key, found, 'an array of true and false')
}
