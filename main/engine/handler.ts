/** What a handler of a contract call is given, and the type that makes the table of handlers complete. */
import type { CallArguments, CallName, CallOutput, CallProgress } from '../../preload/api'

export interface CallContext<N extends CallName> {
  /** Aborted when the caller cancelled, or went away. */
  signal: AbortSignal
  progress: (value: CallProgress<N>) => void
}

export type Handler<N extends CallName> = (
  input: CallArguments<N>,
  context: CallContext<N>,
) => Promise<CallOutput<N>> | CallOutput<N>

/** One handler for every call of the contract: a missing one does not compile. */
export type Handlers = { [N in CallName]: Handler<N> }

/** The handlers of some calls; the rooms' files under handlers/ each give a part. */
export type HandlerPart<N extends CallName> = Pick<Handlers, N>
