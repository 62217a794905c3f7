/**
 * The text worker: everything in which a model file's own patterns and templates run. Its owner gives it a time limit
 * and ends it where that passes; it keeps nothing that could not be built again from the first message.
 */
import { createHash } from 'node:crypto'
import { parentPort } from 'node:worker_threads'
import { PatchbayError, asPatchbayError, toWire } from '../../../preload/errors'
import { planDecoder } from './decode-plan'
import { pieceTable } from './definition'
import type { Definition } from './definition'
import { Detokenizer } from './detokenizer'
import { createEncoder, mayDrop, noToken } from './encoding/encoder'
import type { Encoder } from './encoding/encoder'
import { definitionFromFolder } from './sources/from-folder'
import { definitionFromGguf } from './sources/from-gguf'
import { ChatTemplate } from './template/render'
import type {
  TokenizerSource,
  TokenizerTables,
  WorkerCalls,
  WorkerReply,
  WorkerRequest,
} from './thread/protocol'

interface Loaded {
  definition: Definition
  encoder: Encoder
  tables: TokenizerTables
  /** set where the model could leave characters out without saying so */
  check: Detokenizer | null
  template: ChatTemplate | null
}

let loaded: Loaded | null = null

function load(source: TokenizerSource): Loaded {
  const definition = source.kind === 'folder' ? definitionFromFolder(source) : definitionFromGguf(source)
  const pieces = pieceTable(definition)
  const specialIds = definition.addedTokens.filter((token) => token.special).map((token) => token.id)
  const decodePlan = planDecoder(definition.decoder)
  const { bosId, eosIds, prefix, suffix, bosPolicy, template, tokenizerHash, warnings } = definition
  return {
    definition,
    encoder: createEncoder(definition),
    check: mayDrop(definition) ? new Detokenizer(pieces, new Set(specialIds), decodePlan) : null,
    template: null,
    tables: {
      pieces,
      specialIds,
      decodePlan,
      bosId,
      eosIds,
      prefix,
      suffix,
      bosPolicy,
      tokenizerHash,
      templateHash: template === null ? null : createHash('sha256').update(template).digest('hex'),
      warnings,
    },
  }
}

function encode(text: string, { encoder, check }: Loaded): Uint32Array {
  const ids = encoder.encode(text)
  if (check !== null && check.decode(ids) !== text) throw noToken()
  return Uint32Array.from(ids)
}

function render(input: WorkerCalls['render']['input'], current: Loaded): WorkerCalls['render']['output'] {
  const source = current.definition.template
  if (source === null) throw new PatchbayError('template.failed', 'This model has no chat template.')
  current.template ??= new ChatTemplate(source, current.definition.namedTokens)
  return current.template.render(input.messages, input.addGenerationPrompt)
}

function answer(request: WorkerRequest): unknown {
  if (request.call === 'load') return (loaded = load(request.input)).tables
  if (loaded === null) throw new PatchbayError('internal', 'The text worker was asked before it was loaded.')
  return request.call === 'encode' ? encode(request.input, loaded) : render(request.input, loaded)
}

/** Stack and string limits of the JavaScript engine, hit by what the file asks for. */
function asError(thrown: unknown): PatchbayError {
  if (!(thrown instanceof RangeError)) return asPatchbayError(thrown)
  return new PatchbayError(
    'memory.exhausted',
    `The tokenizer's own rules outgrew a limit (${thrown.message}).`,
    {
      cause: thrown,
      next: 'Use a shorter text; if it is short, this tokenizer is broken or hostile.',
    },
  )
}

parentPort?.on('message', (request: WorkerRequest) => {
  let reply: WorkerReply
  try {
    reply = { id: request.id, output: answer(request) }
  } catch (error) {
    reply = { id: request.id, error: toWire(asError(error)) }
  }
  parentPort?.postMessage(reply)
})
