/** What `patchbay patch` is asked: said as flags, or as the request that the view copies. */
import path from 'node:path'
import { z } from 'zod'
import type { PatchDirection } from '../../../preload/attribution'
import { PatchbayError } from '../../../preload/errors'
import {
  pathRequest,
  scrubRequest,
  sweepRequest,
  type PathRequest,
  type ScrubRequest,
  type SweepAxis,
  type SweepComponent,
  type SweepMetricInput,
  type SweepRequest,
  type SweepSource,
} from '../../../preload/sweep'
import { floatTensor, type Tensor } from '../../../preload/tensor'
import { invalidInput } from '../../engine/dispatch'
import type { Engine } from '../../engine/engine'
import { readJson, readTensors } from './given'

/** A sweep in words. */
export interface PatchFlags {
  clean?: string
  corrupt?: string
  component: SweepComponent
  by: SweepAxis[]
  layers?: number[]
  dictionary?: string
  features?: number[]
  top?: number
  direction: PatchDirection
  align?: boolean
  metric: SweepMetricInput['kind']
  positive: string[]
  negative: string[]
}

/** A request with the call that answers it. */
export type Asked =
  | { kind: 'places'; request: SweepRequest }
  | { kind: 'paths'; request: PathRequest }
  | { kind: 'scrub'; request: ScrubRequest }

/** A request with the tensors that it names. */
export type AskedWithTensors = Asked & {
  tensors: Record<string, Tensor>
  /** Fingerprint of the model that it is for, or its beginning; null where it does not say. */
  model: string | null
}

/** A tensor as JSON has it. */
const writtenTensor = z
  .object({ shape: z.array(z.number()), data: z.array(z.number()) })
  .transform(({ shape, data }): Tensor => ({ shape, data: Float32Array.from(data) }))
  .pipe(floatTensor)
const envelope = z.looseObject({
  model: z
    .string()
    .regex(/^[0-9a-f]{8,64}$/, 'is no fingerprint')
    .optional(),
  tensors: z.record(z.string(), writtenTensor).default({}),
})

/**
 * A request as the view copies it, and whose it is: with `receivers` path patching, with `keep` a scrubbing check, with
 * `target` alone a sweep over places.
 * @param given JSON, or a file with it
 * @param file a .safetensors file with the tensors that it names
 * @throws PatchbayError `input.invalid` for what is none of them, says more than it may, or names a tensor that is not there
 */
export async function askedOf(given: string, file: string | undefined): Promise<AskedWithTensors> {
  const outer = envelope.safeParse(await readJson(given, 'The request'))
  if (!outer.success) throw invalidInput('The request', outer.error)
  const { model = null, tensors, ...rest } = outer.data
  const asked = kindOf(rest)
  const read = file === undefined ? {} : await readTensors(file)
  return { ...asked, model, tensors: named(asked.request.source, { ...tensors, ...read }) }
}

function kindOf(request: Record<string, unknown>): Asked {
  const has = (name: string): boolean => Object.hasOwn(request, name)
  if (has('keep') && (has('receivers') || has('target')))
    throw new PatchbayError(
      'input.invalid',
      `The request is two at once: with "keep" it is a scrubbing check, with "${has('receivers') ? 'receivers' : 'target'}" it is none.`,
      { next: 'Leave one of them out.', field: 'keep' },
    )
  if (has('keep')) return { kind: 'scrub', request: parsed('The scrubbing check', scrubRequest, request) }
  if (has('receivers')) return { kind: 'paths', request: parsed('The path patching', pathRequest, request) }
  if (has('target')) return { kind: 'places', request: parsed('The sweep', sweepRequest, request) }
  throw new PatchbayError(
    'input.invalid',
    'The request is no sweep (it has no "target"), no path patching (no "receivers") and no scrubbing check (no "keep").',
    { next: 'Copy it from the Patch view: Copy as → Request (JSON).' },
  )
}

function parsed<T extends z.ZodObject>(what: string, schema: T, request: unknown): z.output<T> {
  const result = schema.strict().safeParse(request)
  if (!result.success) throw invalidInput(what, result.error)
  return result.data as z.output<T>
}

/** The tensors that a source names, of those that are there. */
function named(source: SweepSource, tensors: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  if (source.kind !== 'tensor') return {}
  const names = [...new Set(Object.values(source.tensors))]
  const missing = names.find((name) => !Object.hasOwn(tensors, name))
  if (missing === undefined) return Object.fromEntries(names.map((name) => [name, tensors[name]]))
  throw new PatchbayError(
    'input.invalid',
    `The request names a tensor ${JSON.stringify(missing)} that did not come with it.`,
    {
      next: 'Give --tensors FILE, a .safetensors file with tensors of these names; the Patch view saves one.',
      field: '--tensors',
    },
  )
}

/**
 * The sweep that flags say.
 * @throws PatchbayError `prompt.empty`, `input.invalid` for answers that are not one token, and what does not go together
 */
export async function flaggedSweep(flags: PatchFlags, engine: Engine, model: string): Promise<SweepRequest> {
  const result = sweepRequest.safeParse(await built(flags, engine, model))
  if (!result.success) throw invalidInput('The sweep', result.error)
  return result.data
}

async function built(flags: PatchFlags, engine: Engine, model: string): Promise<unknown> {
  const { clean, corrupt, component, by, layers, dictionary, features, top, direction, metric } = flags
  if (clean === undefined || corrupt === undefined)
    throw new PatchbayError('prompt.empty', 'Patching needs two prompts.', {
      next: 'Give --clean TEXT and --corrupt TEXT, or --request JSON.',
    })
  if (dictionary === undefined && (features !== undefined || top !== undefined))
    throw new PatchbayError('input.invalid', 'Features are of a dictionary, and none was given.', {
      next: 'Give --dictionary FOLDER.',
      field: '--dictionary',
    })
  const encode = async (text: string): Promise<number[]> => {
    const { tokens } = await engine.call('prompt.encode', { model, prompt: { kind: 'text', text } })
    return tokens.map(({ id }) => id)
  }
  const token = async (text: string): Promise<number> => {
    const found = await engine.call('tokens.find', { model, text })
    if (found.length === 1) return found[0].id
    throw new PatchbayError(
      'input.invalid',
      `${JSON.stringify(text)} is ${found.length} tokens of this model.`,
      {
        next: 'Give a text that is one token; most begin with a space.',
        field: '--positive',
      },
    )
  }
  const positive = await Promise.all(flags.positive.map(token))
  const negative = await Promise.all(flags.negative.map(token))
  if (metric !== 'kl' && positive.length === 0)
    throw new PatchbayError('input.invalid', `The metric ${metric} needs an answer.`, {
      next: 'Give --positive TEXT (and --negative TEXT for a difference).',
      field: '--positive',
    })
  return {
    pairs: [
      {
        clean: await encode(clean),
        corrupt: await encode(corrupt),
        ...(flags.align === true ? { alignment: 'auto' } : {}),
      },
    ],
    direction,
    target:
      dictionary === undefined
        ? { kind: 'grid', component, by, layers }
        : { kind: 'features', dictionary: path.resolve(dictionary), by, features, top },
    metrics: [
      metric === 'logit-difference'
        ? { kind: metric, positive, negative }
        : { kind: metric, token: positive[0] },
    ],
  }
}
