/** Executes a `RunRequest` on whatever runs a model: checks it against the model, lays out its interventions, runs, and shapes the result. */
import { PatchbayError } from '../../preload/errors'
import { noGradients, type RunInput, type RunRequest, type RunResult } from '../../preload/run'
import type { Tensor } from '../../preload/tensor'
import type { BackwardResult } from './backward/run'
import type { ForwardRequest } from './forward'
import { layOut, prepareInterventions } from './interventions'
import type { Runnable } from './runnable'

export interface ExecuteOptions {
  readonly signal?: AbortSignal
  /** Blocks done of all. */
  readonly onProgress?: (done: number, total: number) => void
}

/**
 * Runs a request. Captured arrays may share memory: do not write into them.
 * @throws PatchbayError `input.invalid`, `prompt.too-long`, `hook.unknown` with the nearest names, `hook.unavailable`,
 *   and what a run throws
 */
export async function executeRun(
  stack: Runnable,
  input: RunInput,
  options: ExecuteOptions = {},
): Promise<RunResult> {
  const { request, tensors } = input
  checkPrompts(stack, request.rows)
  checkPositions(request)
  const start = startOf(stack, request, tensors)
  const prepared = prepareInterventions(stack, request.interventions, tensors, request.rows.length)
  const layout = stack.layoutOf({ start })
  const stopped = request.stopLayer !== undefined
  const forward: ForwardRequest = {
    start,
    captures: request.captures.map((name) => stack.hook(name).name),
    ports: layOut(prepared, { layout, promptLengths: layout.lengths }),
    stopLayer: request.stopLayer,
    logits: stopped ? 'none' : request.logits,
    ...options,
  }
  const { backward, rows } = request
  const both = backward === undefined ? null : await stack.backward({ ...forward, backward, rows, tensors })
  const result = both ?? (await stack.forward(forward))
  return {
    lengths: request.rows.map((row) => row.length),
    captures: Object.fromEntries(result.captures),
    logits: result.logits,
    residual: stopped ? result.residual : null,
    ...(both === null ? noGradients() : gradientsOf(both)),
  }
}

const gradientsOf = ({ metric, gradients, weightGradients }: BackwardResult) => ({
  metric,
  gradients: Object.fromEntries(gradients),
  weightGradients: Object.fromEntries(weightGradients),
})

/**
 * Checks token ids and lengths.
 * @param extra tokens that will be generated behind each row at least
 * @throws PatchbayError `prompt.empty`, `prompt.too-long`, `input.invalid` for an id outside the vocabulary
 */
export function checkPrompts(
  { contextLength, vocab }: Pick<Runnable, 'contextLength' | 'vocab'>,
  rows: readonly (readonly number[])[],
  extra = 0,
): void {
  rows.forEach((tokens, row) => {
    const field = `rows.${row}`
    if (tokens.length === 0)
      throw new PatchbayError('prompt.empty', `Row ${row} has no tokens.`, { next: 'Type a prompt.', field })
    if (tokens.length + extra > contextLength)
      throw new PatchbayError(
        'prompt.too-long',
        `The prompt has ${tokens.length} tokens, but this model reads at most ${contextLength - extra}.`,
        { next: 'Shorten the prompt.', field },
      )
    const bad = tokens.find((id) => id >= vocab)
    if (bad !== undefined)
      throw new PatchbayError('input.invalid', `Token id ${bad} is not in the vocabulary of ${vocab}.`, {
        next: 'Encode the prompt with this model’s tokenizer.',
        field,
      })
  })
}

/** Listed positions must lie inside the rows that they are meant for. */
function checkPositions({ interventions, rows }: RunRequest): void {
  interventions.forEach((intervention, i) => {
    const { positions } = intervention
    if (!Array.isArray(positions)) return
    const chosen = intervention.rows === 'all' ? rows.map((_, row) => row) : intervention.rows
    const farthest = Math.max(...positions)
    for (const row of chosen)
      if (row < rows.length && farthest >= rows[row].length)
        throw new PatchbayError(
          'input.invalid',
          `Position ${farthest} is behind the end of row ${row}, which has ${rows[row].length} tokens.`,
          {
            next: 'Positions count from 0.',
            field: `interventions.${i}.positions`,
          },
        )
  })
}

function startOf(
  { dModel }: Runnable,
  { rows, start }: RunRequest,
  tensors: Readonly<Record<string, Tensor>>,
): ForwardRequest['start'] {
  if (start === undefined) return { kind: 'tokens', rows }
  const lengths = rows.map((row) => row.length)
  const wanted = [rows.length, Math.max(...lengths), dModel]
  const residual = Object.hasOwn(tensors, start.residual) ? tensors[start.residual] : undefined
  if (residual === undefined || residual.shape.join() !== wanted.join())
    throw new PatchbayError(
      'input.invalid',
      `The residual stream to start from must be a tensor [${wanted.join(', ')}].`,
      {
        next: 'Capture it in a run of the same rows.',
        field: 'start.residual',
      },
    )
  return { kind: 'residual', layer: start.layer, residual, lengths }
}
