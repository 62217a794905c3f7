/**
 * What a model loses when a dictionary's reconstruction stands in for its activations: the cross-entropy with it spliced
 * in, between that of the unchanged model and that of the model with zeros in its place (Bricken et al. 2023).
 */
import { PatchbayError } from '../../../preload/errors'
import { runInput, type InterventionInput, type RunResult } from '../../../preload/run'
import { sizeOf, type Tensor } from '../../../preload/tensor'
import type { RunModel } from '../stream/from-model'
import type { Dictionary } from './dictionary'

export interface SplicedLoss {
  /** Mean cross-entropy of next tokens, in nats: of the model as it is, with the reconstruction, with zeros. */
  readonly original: number
  readonly spliced: number
  readonly zeroed: number
  /** (zeroed − spliced) / (zeroed − original): 1 where nothing is lost, 0 where zeros would do as well. */
  readonly recovered: number
  /** Predicted tokens. */
  readonly tokens: number
}

export interface SpliceRequest {
  /** Runs on the model that the dictionary belongs to. */
  readonly run: RunModel
  readonly dictionary: Dictionary
  /** Fingerprint of the model. */
  readonly model: string
  /** Token ids of each text, at least two. */
  readonly rows: readonly (readonly number[])[]
  /** Positions before it are left as they are: first positions have activations like no others. */
  readonly firstPosition?: number
}

/** @throws PatchbayError `input.invalid` for texts without a next token or a dictionary without hook point; what a run throws */
export async function lossRecovered(request: SpliceRequest): Promise<SplicedLoss> {
  const { run, dictionary, model, rows, firstPosition = 0 } = request
  const { hook, outputHook } = dictionary.config
  if (hook === null) throw refused('The dictionary does not say at which hook point it belongs.')
  if (rows.length === 0 || rows.some((row) => row.length < Math.max(2, firstPosition + 1)))
    throw refused('Every text needs at least two tokens, and one where the dictionary is spliced in.')
  const target = outputHook ?? hook
  const execute = (captures: string[], interventions: InterventionInput[], tensors: Record<string, Tensor>) =>
    run(runInput.parse({ request: { model, rows, captures, interventions, logits: 'all' }, tensors }))

  const plain = await execute([hook], [], {})
  const tensors: Record<string, Tensor> = {}
  const places = (row: number): Pick<InterventionInput, 'hook' | 'rows' | 'positions'> => ({
    hook: target,
    rows: [row],
    positions: Array.from({ length: rows[row].length - firstPosition }, (_, i) => firstPosition + i),
  })
  const replacing: InterventionInput[] = []
  for (const [row, ids] of rows.entries()) {
    const x = partOf(plain.captures[hook], row, firstPosition, ids.length)
    tensors[`row ${row}`] = (await dictionary.run(x)).reconstruction
    replacing.push({ ...places(row), operation: { kind: 'replace', value: `row ${row}` } })
  }
  const zeroing = rows.map((_, row): InterventionInput => ({
    ...places(row),
    operation: { kind: 'scale', factor: 0 },
  }))
  const spliced = meanLoss(await execute([], replacing, tensors), rows)
  const zeroed = meanLoss(await execute([], zeroing, {}), rows)
  const original = meanLoss(plain, rows)
  return {
    original,
    spliced,
    zeroed,
    recovered: (zeroed - spliced) / (zeroed - original),
    tokens: rows.reduce((sum, row) => sum + row.length - 1, 0),
  }
}

/** Positions from … to of one row of an activation [batch, pos, …]. */
function partOf(
  { shape, data }: { shape: readonly number[]; data: Float32Array },
  row: number,
  from: number,
  to: number,
): Tensor {
  const [, positions, ...rest] = shape
  const width = sizeOf(rest)
  const start = row * positions * width
  return { shape: [to - from, ...rest], data: data.slice(start + from * width, start + to * width) }
}

/** Mean −log p of each next token, over all rows together. */
function meanLoss({ logits }: RunResult, rows: readonly (readonly number[])[]): number {
  if (logits === null) throw new PatchbayError('internal', 'A run gave no logits.')
  const [, positions, vocab] = logits.shape
  let loss = 0
  let count = 0
  rows.forEach((row, r) => {
    for (let position = 0; position + 1 < row.length; position++, count++) {
      const start = (r * positions + position) * vocab
      const each = logits.data.subarray(start, start + vocab)
      let top = -Infinity
      for (const value of each) top = Math.max(top, value)
      let sum = 0
      for (const value of each) sum += Math.exp(value - top)
      loss += top + Math.log(sum) - each[row[position + 1]]
    }
  })
  return loss / count
}

const refused = (message: string): PatchbayError =>
  new PatchbayError('input.invalid', message, { next: 'Choose other texts, or another dictionary.' })
