/**
 * Which special tokens a model's files put around a text: from the post-processor of tokenizer.json, and from
 * `add_bos_token` / `add_eos_token`, which overrule it where they are given, as in transformers.
 */
import { z } from 'zod'
import type { BosStatement } from '../types'
import { checked, readComponent } from './complaints'

export interface Around {
  prefix: number[]
  suffix: number[]
}

const named = z.tuple([z.string(), z.number().int().min(0)])
const templateItem = z.union([
  z.object({ SpecialToken: z.object({ id: z.string() }) }),
  z.object({ Sequence: z.object({ id: z.string() }) }),
])
const schemas = {
  Sequence: z.object({ processors: z.array(z.unknown()).max(64) }),
  ByteLevel: z.object({}),
  BertProcessing: z.object({ cls: named, sep: named }),
  RobertaProcessing: z.object({ cls: named, sep: named }),
  TemplateProcessing: z.object({
    single: z.array(templateItem).max(64),
    special_tokens: z
      .record(z.string(), z.object({ ids: z.array(z.number().int().min(0)).max(64) }))
      .nullish(),
  }),
}

/** The ids that a `post_processor` puts before and after a single text. @throws `file.malformed`, `tokenizer.unsupported` */
export function readPostProcessor(config: unknown, field = 'post_processor'): Around {
  const around: Around = { prefix: [], suffix: [] }
  if (config === null || config === undefined) return around
  const processor = readComponent(schemas, config, field)
  switch (processor.type) {
    case 'ByteLevel':
      return around
    case 'BertProcessing':
    case 'RobertaProcessing':
      return { prefix: [processor.cls[1]], suffix: [processor.sep[1]] }
    case 'Sequence':
      for (const [index, each] of processor.processors.entries()) {
        const inner = readPostProcessor(each, `${field}.processors.${index}`)
        around.prefix.unshift(...inner.prefix)
        around.suffix.push(...inner.suffix)
      }
      return around
    case 'TemplateProcessing': {
      let seen = false
      for (const item of processor.single) {
        if ('Sequence' in item) {
          seen = true
          continue
        }
        const token = processor.special_tokens?.[item.SpecialToken.id]
        const { ids } = checked(z.object({ ids: z.array(z.number()) }), token, `${field}.special_tokens`)
        if (seen) around.suffix.push(...ids)
        else around.prefix.push(...ids)
      }
      return around
    }
  }
}

export interface SpecialChoices {
  bosId: number | null
  /** the model's own end; the one that `addEos` would put */
  eosId: number | null
  addBos: boolean | undefined
  addEos: boolean | undefined
  /** where `addBos` was said, e.g. "tokenizer_config.json" */
  saidBy: string
  /** what is said where `addBos` is undefined, fit to follow "because" */
  otherwise: (adds: boolean) => string
}

/** The policy for a text prompt: ids around it, and the sentence about BOS. */
export function policyOf(around: Around, choices: SpecialChoices): Around & { bosPolicy: BosStatement } {
  const { bosId, eosId, addBos, addEos } = choices
  let prefix = [...around.prefix]
  let suffix = [...around.suffix]
  if (addBos !== undefined && bosId !== null) {
    prefix = prefix.filter((id) => id !== bosId)
    if (addBos) prefix.unshift(bosId)
  }
  if (addEos !== undefined && eosId !== null) {
    suffix = suffix.filter((id) => id !== eosId)
    if (addEos) suffix.push(eosId)
  }
  const adds = bosId !== null && prefix.includes(bosId)
  const source =
    bosId === null
      ? "the model's files name no BOS token"
      : addBos !== undefined
        ? `${choices.saidBy} says ${addBos}`
        : choices.otherwise(adds)
  return { prefix, suffix, bosPolicy: { addBos: adds, source } }
}
