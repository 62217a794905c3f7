/**
 * Owns the engine process: starts it, listens for its heartbeat, restarts it with the models it had open, and stops
 * trying when it keeps dying. Knows nothing of Electron: a process, a clock and a port are handed in, so every path is tested.
 */
import { fromEngineMessage, type EngineState, type ToEngineMessage } from '../../preload/shell'
import type { ModelSource } from '../../preload/model'
import { RestartBudget } from './budget'
import { Tail } from './tail'

/** A running engine. `Port` is Electron's MessagePortMain outside the tests. */
export interface EngineProcess<Port> {
  post(message: ToEngineMessage, port?: Port): void
  /** Ends it at once, also in the middle of a native call. */
  kill(): void
  onMessage(listener: (message: unknown) => void): void
  onStderr(listener: (text: string) => void): void
  onExit(listener: (code: number) => void): void
}

export interface Clock {
  /** Monotonic milliseconds. */
  now: () => number
  /** Calls back every `ms`; returns how to end it. */
  every: (ms: number, tick: () => void) => () => void
}

export interface SupervisorOptions<Port> {
  fork: () => EngineProcess<Port>
  clock: Clock
  dataDir: string
  cacheDir: string
  assetsDir: string
  /** An engine silent for so long is taken for hung and killed. */
  hangLimitMs?: number
  /** The same once the person has asked for a hard cancel. */
  hardCancelMs?: number
  log: (line: string) => void
}

const heartbeatMs = 5_000
const shutdownGraceMs = 3_000

export class Supervisor<Port> {
  #state: EngineState = { status: 'stopped', generation: 0, reason: null, stderr: null }
  #process: EngineProcess<Port> | null = null
  #openModels: ModelSource[] = []
  /** Heartbeats in a row that went unanswered. Counted, not timed: a laptop that slept must not look like a hung engine. */
  #missed = 0
  #awaitingPong = false
  #pings = 0
  #hardCancelWanted = false
  #killReason: { sentence: string; byPerson: boolean } | null = null
  #closing: (() => void) | null = null
  #stopHeartbeat: (() => void) | null = null
  readonly #listeners = new Set<(state: EngineState) => void>()
  readonly #budget: RestartBudget
  readonly #stderr = new Tail()

  constructor(private readonly options: SupervisorOptions<Port>) {
    this.#budget = new RestartBudget(options.clock.now)
  }

  get state(): EngineState {
    return this.#state
  }

  /** Models that a restarted engine would be told to open. */
  get openModels(): readonly ModelSource[] {
    return this.#openModels
  }

  onState(listener: (state: EngineState) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  start(): void {
    if (this.#process === null) this.#spawn('starting', null)
  }

  /** Hands a port to the engine; false when there is no engine ready to take it. */
  connect(port: Port): boolean {
    if (this.#process === null || this.#state.status !== 'ready') return false
    this.#process.post({ type: 'connect' }, port)
    return true
  }

  /** The person asks for the engine anew: after the budget was used up, or because it misbehaves. */
  restart(): void {
    this.#budget.reset()
    if (this.#process === null) this.#spawn('starting', this.#state.reason)
    else this.#kill('The engine was restarted on request.', true)
  }

  /** A soft cancel went unheard: the engine is ended as soon as it has been silent long enough to call it hung. */
  hardCancel(): void {
    this.#hardCancelWanted = true
    this.#endIfHung()
  }

  /** Ends the engine for good: asks, waits a little, kills. */
  async shutdown(): Promise<void> {
    const process = this.#process
    if (process === null || this.#closing !== null) return
    await new Promise<void>((resolve) => {
      const stopWaiting = this.options.clock.every(shutdownGraceMs, () => process.kill())
      this.#closing = () => {
        stopWaiting()
        resolve()
      }
      process.post({ type: 'shutdown' })
    })
  }

  #spawn(status: 'starting' | 'restarting', reason: string | null): void {
    const { dataDir, cacheDir, assetsDir, clock, fork } = this.options
    const stderr = this.#stderr.text === '' ? null : this.#stderr.text
    this.#stderr.clear()
    this.#missed = 0
    this.#awaitingPong = false
    this.#hardCancelWanted = false
    this.#killReason = null

    const process = fork()
    this.#process = process
    process.onStderr((text) => this.#stderr.add(text))
    process.onMessage((message) => {
      if (this.#process === process) this.#receive(message)
    })
    process.onExit((code) => {
      if (this.#process === process) this.#ended(code)
    })
    process.post({ type: 'init', dataDir, cacheDir, assetsDir, openModels: this.#openModels })
    this.#stopHeartbeat = clock.every(heartbeatMs, () => this.#heartbeat())
    this.#setState({ status, generation: this.#state.generation + 1, reason, stderr })
  }

  #receive(raw: unknown): void {
    const parsed = fromEngineMessage.safeParse(raw)
    if (!parsed.success) {
      this.options.log(`The engine sent a message that does not fit its schema: ${parsed.error.message}`)
      return
    }
    const message = parsed.data
    switch (message.type) {
      case 'ready':
        this.#setState({ ...this.#state, status: 'ready' })
        break
      case 'pong':
        this.#missed = 0
        this.#awaitingPong = false
        break
      case 'open-models':
        this.#openModels = message.models
        break
    }
  }

  #heartbeat(): void {
    if (this.#awaitingPong) this.#missed += 1
    this.#awaitingPong = true
    this.#process?.post({ type: 'ping', id: this.#pings++ })
    this.#endIfHung()
  }

  #endIfHung(): void {
    const { hangLimitMs = 5 * 60_000, hardCancelMs = 30_000 } = this.options
    const silentMs = this.#missed * heartbeatMs
    const limit = this.#hardCancelWanted ? Math.min(hardCancelMs, hangLimitMs) : hangLimitMs
    if (this.#process === null || silentMs < limit) return
    this.#kill(
      `The engine gave no sign of life for ${Math.round(silentMs / 1000)} seconds and was ended.`,
      this.#hardCancelWanted,
    )
  }

  #kill(sentence: string, byPerson: boolean): void {
    this.#killReason ??= { sentence, byPerson }
    this.#process?.kill()
  }

  #ended(code: number): void {
    this.#process = null
    this.#stopHeartbeat?.()
    this.#stopHeartbeat = null
    if (this.#closing !== null) {
      this.#closing()
      this.#closing = null
      this.#setState({ ...this.#state, status: 'stopped', reason: null, stderr: null })
      return
    }

    let reason = this.#killReason?.sentence ?? exitSentence(code)
    if (this.#state.status !== 'ready' && this.#openModels.length > 0) {
      // It never got as far as `ready` with these models; opening them again would only repeat that.
      this.#openModels = []
      reason += ' It was re-opening models, so it starts without them.'
    }
    this.options.log(reason)
    if (this.#killReason?.byPerson === true || this.#budget.spend()) this.#spawn('restarting', reason)
    else this.#setState({ ...this.#state, status: 'stopped', reason, stderr: this.#stderr.text || null })
  }

  #setState(state: EngineState): void {
    this.#state = state
    for (const listener of this.#listeners) listener(state)
  }
}

/** Electron reports a process that died by a signal with the signal's number as its exit code. */
export function exitSentence(code: number): string {
  const known: Record<number, string> = {
    0: 'The engine process ended by itself.',
    6: 'The engine process was aborted by native code (signal 6).',
    9: 'The engine process was killed from outside, perhaps because memory ran out (signal 9).',
    11: 'The engine process crashed in native code (signal 11).',
    15: 'The engine process was told to end from outside (signal 15).',
  }
  return known[code] ?? `The engine process ended with code ${code}.`
}
