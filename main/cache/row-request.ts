/**
 * What one row of a run depends on, said once: its hash names everything that the row's pass computes, whatever other rows
 * were in the batch, whatever else was captured and whatever the caller called the tensors. The disk store keeps values
 * under this name, and keeps the description with them.
 */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { canonicalJson } from '../../preload/canonical'
import {
  intervention,
  operation,
  precisions,
  providers,
  tokenIds,
  type Intervention,
  type Operation,
  type RunInput,
} from '../../preload/run'
import { sizeOf, type Tensor } from '../../preload/tensor'
import { canonicalHook, namedTensor, tensorHash } from './key'

const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/)

/** Tensors stand for themselves by their hash (see `tensorHash`), not by the names that a caller gave them. */
export const rowRequest = z.strictObject({
  /** Raised when runs come to compute other numbers, so that none of before answers for them. */
  version: z.literal(1),
  /** Fingerprint of the model. */
  model: sha256Hex,
  precision: z.enum(precisions),
  /** Providers round differently: what one computed is not what another would. */
  provider: z.enum(providers),
  tokens: tokenIds,
  /** Those that touch this row, with canonical hook names. */
  interventions: z.array(intervention.omit({ rows: true }).extend({ operation })),
  /** Hash of the residual stream [pos, d_model] that this row starts from, at this block. */
  start: z.strictObject({ layer: z.number().int().nonnegative(), residual: sha256Hex }).optional(),
})
export type RowRequest = z.infer<typeof rowRequest>

/** What a model is to its numbers. */
export type NumericIdentity = Pick<RowRequest, 'precision' | 'provider'>

/** sha256 in hex of the canonical JSON of a row's request. */
export const rowKey = (row: RowRequest): string =>
  createHash('sha256').update(canonicalJson(row)).digest('hex')

/**
 * The request of each row of a run.
 * @throws PatchbayError `input.invalid` where the request names a tensor that is not there
 */
export function rowRequests({ precision, provider }: NumericIdentity, input: RunInput): RowRequest[] {
  const { request, tensors } = input
  const hashes = new Map<string, string>()
  const hashOf = (name: string): string => {
    const known = hashes.get(name) ?? tensorHash(namedTensor(tensors, name))
    hashes.set(name, known)
    return known
  }
  const { start } = request
  const residual = start === undefined ? undefined : namedTensor(tensors, start.residual)
  return request.rows.map((tokens, row) => ({
    version: 1,
    model: request.model,
    precision,
    provider,
    tokens,
    interventions: request.interventions
      .filter(({ rows }) => rows === 'all' || rows.includes(row))
      .map((change) => anonymous(change, hashOf)),
    ...(start === undefined || residual === undefined
      ? {}
      : { start: { layer: start.layer, residual: tensorHash(rowOf(residual, row, tokens.length)) } }),
  }))
}

/** An intervention without the rows that it was meant for, its tensors named by their hashes. */
function anonymous(
  { rows: _, hook, operation: change, ...where }: Intervention,
  hashOf: (name: string) => string,
): RowRequest['interventions'][0] {
  return { ...where, hook: canonicalHook(hook), operation: anonymousOperation(change, hashOf) }
}

function anonymousOperation(change: Operation, hashOf: (name: string) => string): Operation {
  switch (change.kind) {
    case 'add':
    case 'replace':
      return { ...change, value: hashOf(change.value) }
    case 'direction':
      return { ...change, direction: hashOf(change.direction) }
    case 'scale':
      return change
  }
}

/** Row `row` of [batch, pos, …], its first `length` positions. */
function rowOf({ shape, data }: Tensor, row: number, length: number): Tensor {
  const inner = sizeOf(shape.slice(2))
  const from = row * (shape[1] ?? 1) * inner
  return { shape: [length, ...shape.slice(2)], data: data.subarray(from, from + length * inner) }
}
