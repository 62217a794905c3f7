/** What a thread of ours and its owner say to each other. */
import type { WireError } from '../../../preload/errors'

/** Calls by name, each with its input and output. */
export type CallMap<Calls> = { [N in keyof Calls]: { input: unknown; output: unknown } }

export type WorkerRequest<Calls extends CallMap<Calls>> = {
  [N in keyof Calls]: { id: number; call: N; input: Calls[N]['input'] }
}[keyof Calls]

export type WorkerMessage = { id: number } & (
  { output: unknown } | { error: WireError } | { progress: number }
)
