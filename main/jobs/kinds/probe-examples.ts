/**
 * What a probe is fitted on: given texts, or the rows of a data set. Those are kept in the job's folder, so that a resumed
 * job fits the same ones even where the file has changed.
 */
import path from 'node:path'
import { z } from 'zod'
import { rowFailure, type DatasetSpec } from '../../../preload/datasets'
import { PatchbayError } from '../../../preload/errors'
import { tokenIds } from '../../../preload/run'
import type { ProbeJob } from '../../../preload/training'
import { prepareRows } from '../../datasets'
import { writeWhole } from '../../files/durable-file'
import { quoted } from '../../models/formats/malformed'
import { throwIfCancelled } from '../../runtime/cancelled'
import { promptFor } from '../../steering/from-pairs'
import { readableText, type EncodedText } from '../../steering/text-activations'
import { checkClasses } from '../../training/probes/examples'
import type { JobModel } from './job-model'
import { readKept } from './kept-rows'

const probeExamples = z.object({
  texts: z.array(z.object({ tokens: tokenIds, skip: z.number().int().nonnegative() })),
  /** One a text: 1 has the property, 0 has not. */
  labels: z.array(z.union([z.literal(0), z.literal(1)])),
  /** Rows that could not be used: how many, and the first of them. */
  failed: z.number().int().nonnegative(),
  failures: z.array(rowFailure),
})
export interface ProbeExamples extends Omit<z.infer<typeof probeExamples>, 'texts'> {
  readonly texts: readonly EncodedText[]
}

const keptFile = 'examples.json'
const mostRows = 100_000
const mostFailures = 100

/** Whether there is something to tell apart, as far as it is known before the model is open. @throws PatchbayError `input.invalid` */
export function checkExamplesGiven({ examples, dataset }: ProbeJob): void {
  if (dataset !== null && examples.length > 0)
    throw new PatchbayError('input.invalid', 'A probe is fitted on texts or on a data set, not on both.', {
      field: 'dataset',
      next: 'Give one of them.',
    })
  if (dataset !== null && dataset.rows.label === null)
    throw new PatchbayError('input.invalid', 'The data set has no column of labels.', {
      field: 'dataset.rows.label',
      next: 'Choose the column that says which rows have the property.',
    })
  if (dataset === null) checkLabels(examples.map(({ label }) => label))
}

function checkLabels(labels: readonly number[]): void {
  if (labels.length === 0)
    throw new PatchbayError('input.invalid', 'There are no texts to fit a probe on.', {
      field: 'examples',
      next: 'Give texts of both classes.',
    })
  checkClasses({ features: new Float32Array(0), width: 0, labels }, 'given')
}

/** @throws PatchbayError `input.invalid` (no two classes), and as encoding and reading do */
export async function examplesOf(
  model: JobModel,
  input: ProbeJob,
  folder: string,
  signal: AbortSignal,
): Promise<ProbeExamples> {
  if (input.dataset === null) return givenExamples(model, input, signal)
  const file = path.join(folder, keptFile)
  const kept = await readKept(file, probeExamples, 'rows')
  if (kept !== null) return kept
  const { rows, positive } = input.dataset
  const found = await datasetExamples(model, rows, positive, signal)
  checkLabels(found.labels)
  await writeWhole(file, JSON.stringify(found))
  return found
}

async function givenExamples(model: JobModel, input: ProbeJob, signal: AbortSignal): Promise<ProbeExamples> {
  const texts: EncodedText[] = []
  for (const { text } of input.examples) {
    throwIfCancelled(signal)
    texts.push(readableText(await model.encode(promptFor(text, input), signal)))
  }
  return { texts, labels: input.examples.map(({ label }) => label), failed: 0, failures: [] }
}

async function datasetExamples(
  model: JobModel,
  spec: DatasetSpec,
  positive: string,
  signal: AbortSignal,
): Promise<ProbeExamples> {
  const texts: EncodedText[] = []
  const found: Omit<ProbeExamples, 'texts'> = { labels: [], failed: 0, failures: [] }
  const negative = new Set<string>()
  const fail = (failure: ProbeExamples['failures'][number]): void => {
    found.failed++
    if (found.failures.length < mostFailures) found.failures.push(failure)
  }
  for await (const each of prepareRows(spec, model, { signal })) {
    if (each.kind === 'failure') fail(each.failure)
    if (each.kind !== 'row') continue
    const { row, label } = each.row
    if (label === null) {
      const message = `The row has no value in the column ${quoted(spec.label ?? '')}.`
      fail({ row, error: { code: 'input.invalid', message, field: spec.label ?? undefined } })
      continue
    }
    if (label !== positive) negative.add(label)
    if (negative.size > 1) throw manyLabels(spec, positive, [...negative])
    if (texts.length >= mostRows) throw tooMany()
    texts.push(readableText(each.row))
    found.labels.push(label === positive ? 1 : 0)
  }
  return { ...found, texts }
}

const manyLabels = ({ label }: DatasetSpec, positive: string, others: readonly string[]): PatchbayError =>
  new PatchbayError(
    'input.invalid',
    `The column ${quoted(label ?? '')} has other labels besides ${quoted(positive)}: ${others.map(quoted).join(', ')}, …`,
    {
      field: 'dataset.rows.label',
      next: 'A probe tells two classes apart: choose a column with two values.',
    },
  )

const tooMany = (): PatchbayError =>
  new PatchbayError('input.invalid', `The data set has more than ${mostRows} rows.`, {
    field: 'dataset.rows.limit',
    next: 'Limit the rows, or draw a sample of them.',
  })
