/**
 * A case without weights of its own: what a given model must say to a few prompts, and how its tokenizer must split texts.
 * `reference.json` names the prompts; for each, `reference.safetensors` has `<prompt>.logits_last`, `.resid_norms`, `.resid_last`,
 * `.logit_lens_top1` and `.greedy_ids`; `tokenizer.jsonl`, where it is there, has texts with their ids.
 */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import { PatchbayError } from '../../../preload/errors'
import { residualPoints } from '../../../preload/hooks'
import { generateRequest, runRequest } from '../../../preload/run'
import { SafetensorsFile } from '../../models/formats/safetensors'
import type { Tokenizer } from '../../models/tokenizer'
import { largest } from '../distribution'
import { lensMap } from '../lens'
import { rowNorms } from '../statistics'
import type { AnalysisModel } from '../subject'
import { relativeError } from './case'
import type { CheckOptions } from './check'
import { GroupTable, type GroupResult } from './groups'

/** A model with its tokenizer. */
export interface PromptSubject extends AnalysisModel {
  readonly tokenizer: Pick<Tokenizer, 'encode' | 'decode'>
}

const promptReference = z.object({
  model: z.string().optional(),
  computed_in: z.string().optional(),
  prompts: z.record(z.string(), z.object({ text: z.string(), input_ids: z.array(z.number().int()) })),
})
const tokenizerLine = z.object({
  text: z.string(),
  ids: z.array(z.number().int()),
  decoded: z.string(),
  decoded_without_specials: z.string(),
})

/** Whether a parsed `reference.json` is of this kind. */
export const isPromptReference = (content: unknown): content is z.infer<typeof promptReference> =>
  promptReference.safeParse(content).success

/** Compares a model with all prompts and texts of the case. */
export async function checkPromptCase(
  model: PromptSubject,
  folder: string,
  { signal, onProgress }: CheckOptions = {},
): Promise<GroupResult[]> {
  const table = new GroupTable()
  const reference = promptReference.parse(
    JSON.parse(await readFile(path.join(folder, 'reference.json'), 'utf8')),
  )
  const tensors = await SafetensorsFile.open(path.join(folder, 'reference.safetensors'))
  try {
    const prompts = Object.entries(reference.prompts)
    for (const [done, [name, prompt]] of prompts.entries()) {
      onProgress?.(done, prompts.length + 1, `prompt ${name}`)
      await checkPrompt(model, table, tensors, name, prompt, signal)
    }
    onProgress?.(prompts.length, prompts.length + 1, 'tokenizer')
  } finally {
    await tensors.close()
  }
  await checkTokenizer(model, table, path.join(folder, 'tokenizer.jsonl'))
  return table.results()
}

async function checkPrompt(
  model: PromptSubject,
  table: GroupTable,
  tensors: SafetensorsFile,
  name: string,
  prompt: { text: string; input_ids: number[] },
  signal: AbortSignal | undefined,
): Promise<void> {
  const ids = await model.tokenizer.encode(prompt.text)
  table.noteEqual('tokens', `${name}.input_ids`, ids, prompt.input_ids)
  const points = residualPoints(model.facts.layers)
  const request = runRequest.parse({
    model: model.facts.fingerprint,
    rows: [prompt.input_ids],
    captures: points,
  })
  const result = await model.run({ request, tensors: {} }, { signal })
  if (result.logits === null) throw new PatchbayError('internal', 'The run gave no logits.')

  const wantLogits = await tensors.readFloat32(`${name}.logits_last`)
  table.note('logits', `${name}.logits_last`, errorOf(result.logits.data, wantLogits))
  const topTen = (logits: Float32Array): number[] => largest(Float64Array.from(logits), 10)
  table.noteEqual('top 10', `${name}.logits_last`, topTen(result.logits.data), topTen(wantLogits))

  const { dModel } = model.facts
  const norms = points.map((point) => rowNorms(result.captures[point].data, dModel))
  const lasts = points.map((point) => result.captures[point].data.slice(-dModel))
  table.note(
    'norms',
    `${name}.resid_norms`,
    errorOf(flat(norms), await tensors.readFloat32(`${name}.resid_norms`)),
  )
  table.note(
    'activations',
    `${name}.resid_last`,
    errorOf(flat(lasts), await tensors.readFloat32(`${name}.resid_last`)),
  )

  const lens = await lensMap(model, prompt.input_ids, { signal })
  const positions = prompt.input_ids.length
  const top = points.map((_, point) => lens.topIds.data[point * positions + positions - 1])
  table.noteEqual('lens', `${name}.logit_lens_top1`, top, await integers(tensors, `${name}.logit_lens_top1`))

  const greedy = await integers(tensors, `${name}.greedy_ids`)
  const generation = generateRequest.parse({
    model: model.facts.fingerprint,
    rows: [{ tokens: prompt.input_ids }],
    maxTokens: greedy.length,
    stopAtEos: false,
  })
  const { rows } = await model.generate({ request: generation, tensors: {} }, { signal })
  table.noteEqual('generation', `${name}.greedy_ids`, rows[0].tokens, greedy)
}

async function checkTokenizer(model: PromptSubject, table: GroupTable, file: string): Promise<void> {
  if (!existsSync(file)) return
  const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '')
  for (const [i, line] of lines.entries()) {
    const { text, ids, decoded, decoded_without_specials } = tokenizerLine.parse(JSON.parse(line))
    const name = `tokenizer.jsonl:${i + 1}`
    table.noteEqual('tokenizer', name, await model.tokenizer.encode(text), ids)
    table.noteEqual('tokenizer', name, [await model.tokenizer.decode(ids)], [decoded])
    const plain = await model.tokenizer.decode(ids, { skipSpecialTokens: true })
    table.noteEqual('tokenizer', name, [plain], [decoded_without_specials])
  }
}

const errorOf = (got: Float32Array, want: Float32Array): number =>
  relativeError({ shape: [got.length], data: got }, { shape: [want.length], data: want })

function flat(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

const integers = async (tensors: SafetensorsFile, name: string): Promise<number[]> =>
  Array.from(await tensors.readInt64(name), Number)
