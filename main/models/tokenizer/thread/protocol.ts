/** What the tokenizer and its worker say to each other; both ends are ours, the contents come from model files. */
import type { WireError } from '../../../../preload/errors'
import type { ChatMessage } from '../../../../preload/prompt'
import type { DecodePlan } from '../decode-plan'
import type { FolderFiles } from '../sources/folder-files'
import type { GgufFields } from '../sources/gguf-fields'
import type { RenderedChat } from '../template/render'
import type { BosStatement } from '../types'

export type TokenizerSource = FolderFiles | GgufFields

/** Everything the engine's thread needs to decode and to name tokens, and to account for special ones. */
export interface TokenizerTables {
  pieces: (string | undefined)[]
  specialIds: number[]
  decodePlan: DecodePlan
  bosId: number | null
  eosIds: readonly number[]
  prefix: readonly number[]
  suffix: readonly number[]
  bosPolicy: BosStatement
  tokenizerHash: string
  templateHash: string | null
  warnings: readonly string[]
}

/** The calls, each with its input and output. `load` comes first in every worker. */
export interface WorkerCalls {
  load: { input: TokenizerSource; output: TokenizerTables }
  encode: { input: string; output: Uint32Array }
  render: {
    input: { messages: readonly ChatMessage[]; addGenerationPrompt: boolean }
    output: RenderedChat
  }
}

export type CallName = keyof WorkerCalls
export type WorkerRequest = {
  [N in CallName]: { id: number; call: N; input: WorkerCalls[N]['input'] }
}[CallName]
export type WorkerReply = { id: number } & ({ output: unknown } | { error: WireError })
