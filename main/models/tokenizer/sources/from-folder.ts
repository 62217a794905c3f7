/** A Hugging Face folder's files → Definition: tokenizer.json, and what stands beside it about special tokens. */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { parseStrictJson } from '../../formats/strict-json'
import { pieceTable } from '../definition'
import type { Definition } from '../definition'
import { checked } from './complaints'
import type { FolderFiles } from './folder-files'
import { readAddedTokens, readModel } from './model'
import { policyOf, readPostProcessor } from './special-tokens'
import { checkIds } from './vocabulary'

const anything = z.unknown().optional()
const root = z.looseObject({
  model: anything,
  added_tokens: anything,
  normalizer: anything,
  pre_tokenizer: anything,
  post_processor: anything,
  decoder: anything,
})

/** A token as `"<s>"`, as `{content: "<s>"}`, or null. */
const tokenText = z
  .union([z.string(), z.looseObject({ content: z.string() }).transform((token) => token.content), z.null()])
  .optional()
const roles = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token'] as const
const tokenRoles = z.looseObject({
  bos_token: tokenText,
  eos_token: tokenText,
  unk_token: tokenText,
  sep_token: tokenText,
  pad_token: tokenText,
  cls_token: tokenText,
})
const tokenizerConfig = tokenRoles.extend({
  add_bos_token: z.boolean().nullish(),
  add_eos_token: z.boolean().nullish(),
  chat_template: z
    .union([z.string(), z.array(z.looseObject({ name: z.string(), template: z.string() })), z.null()])
    .optional(),
})
const tokenId = z.number().int().min(0).nullish()
const modelIds = z.looseObject({
  bos_token_id: tokenId,
  eos_token_id: z.union([z.number().int(), z.array(z.number().int()), z.null()]).optional(),
})
const templateJson = z.looseObject({ chat_template: z.string() })

function parsed<T>(text: string | null, file: string, schema: z.ZodType<T>): T | null {
  if (text === null) return null
  return checked(schema, parseStrictJson(text, { file, maxDepth: 64, pythonNumbers: true }), file)
}

const list = (ids: number | number[] | null | undefined): number[] =>
  ids === null || ids === undefined ? [] : [ids].flat()

/** @throws `file.malformed` naming the file and the field, `tokenizer.unsupported` naming the component */
export function definitionFromFolder(files: FolderFiles): Definition {
  const json = checked(
    root,
    parseStrictJson(files.tokenizer, { file: 'tokenizer.json', maxDepth: 64 }),
    'tokenizer.json',
  )
  const model = readModel(json.model)
  const addedTokens = readAddedTokens(json.added_tokens, model)
  const pieces = pieceTable({ model, addedTokens })
  const config = parsed(files.tokenizerConfig, 'tokenizer_config.json', tokenizerConfig)
  const map = parsed(files.specialTokensMap, 'special_tokens_map.json', tokenRoles)
  const generation = parsed(files.generationConfig, 'generation_config.json', modelIds)
  const modelConfig = parsed(files.config, 'config.json', modelIds)

  const idOf = (text: string | undefined): number | null => {
    const id = text === undefined ? -1 : pieces.indexOf(text)
    return id < 0 ? null : id
  }
  const namedTokens: Record<string, string> = {}
  for (const role of roles) {
    const text = config?.[role] ?? map?.[role]
    if (typeof text === 'string') namedTokens[role] = text
  }
  const around = readPostProcessor(json.post_processor)
  checkIds([...around.prefix, ...around.suffix], pieces.length - 1, 'post_processor')

  const ownEos = idOf(namedTokens['eos_token'])
  const eosIds = [
    ...list(generation?.eos_token_id),
    ...list(modelConfig?.eos_token_id),
    ...list(ownEos),
  ].filter((id, index, all) => pieces[id] !== undefined && all.indexOf(id) === index)
  const givenBos = generation?.bos_token_id ?? modelConfig?.bos_token_id ?? null
  const bosId =
    idOf(namedTokens['bos_token']) ??
    (givenBos !== null && pieces[givenBos] !== undefined ? givenBos : (around.prefix[0] ?? null))
  // A template may ask for tokens that only the model's configuration names.
  if (bosId !== null) namedTokens['bos_token'] ??= pieces[bosId]!
  if (eosIds[0] !== undefined) namedTokens['eos_token'] ??= pieces[eosIds[0]]!

  return {
    model,
    addedTokens,
    normalizer: json.normalizer,
    preTokenizer: json.pre_tokenizer,
    decoder: json.decoder,
    bosId,
    eosIds,
    ...policyOf(around, {
      bosId,
      eosId: ownEos ?? eosIds[0] ?? null,
      addBos: config?.add_bos_token ?? undefined,
      addEos: config?.add_eos_token ?? undefined,
      saidBy: 'add_bos_token in tokenizer_config.json',
      otherwise: (adds) =>
        adds
          ? 'the post-processor in tokenizer.json puts it first'
          : 'the post-processor in tokenizer.json adds none and tokenizer_config.json does not ask for one',
    }),
    template: templateOf(files, config?.chat_template),
    namedTokens,
    tokenizerHash: createHash('sha256').update(files.tokenizer).digest('hex'),
    warnings: warningsOf(json.normalizer),
  }
}

type ConfigTemplate = z.infer<typeof tokenizerConfig>['chat_template']

/** chat_template.jinja goes before chat_template.json, and both before the one in tokenizer_config.json. */
function templateOf(files: FolderFiles, inConfig: ConfigTemplate): string | null {
  if (files.templateFile !== null) return files.templateFile
  const ownFile = parsed(files.templateJson, 'chat_template.json', templateJson)
  if (ownFile !== null) return ownFile.chat_template
  if (!Array.isArray(inConfig)) return inConfig ?? null
  return (inConfig.find((each) => each.name === 'default') ?? inConfig[0])?.template ?? null
}

function warningsOf(normalizer: unknown): string[] {
  return JSON.stringify(normalizer ?? null).includes('"Precompiled"')
    ? [
        'This tokenizer normalises text by a compiled table that is approximated here by Unicode NFKC: rare characters may get other ids.',
      ]
    : []
}
