/**
 * Joins a window and the engine by a message port of their own, so that what they exchange does not pass through the shell.
 * A page asks once; it gets a port as soon as the engine is ready, and a new one after every restart of the engine.
 */
import type { EngineState } from '../../preload/shell'

/** Both ends of a channel; Electron's MessageChannelMain outside the tests. */
export interface Channel<Port> {
  port1: Port
  port2: Port
}

export interface ConnectionEnds<Port> {
  createChannel: () => Channel<Port>
  /** False when the engine can not take it now. */
  toEngine: (port: Port) => boolean
  toPage: (port: Port, generation: number) => void
}

export class Connection<Port> {
  #wanted = false
  #connectedGeneration: number | null = null
  #state: EngineState | null = null

  constructor(private readonly ends: ConnectionEnds<Port>) {}

  /** The page asks for ports; also when it has lost one. */
  request(): void {
    this.#wanted = true
    this.#connectedGeneration = null
    this.#join()
  }

  /** The page was left or reloaded: its port is gone and nothing is sent until the next one asks. */
  pageLeft(): void {
    this.#wanted = false
    this.#connectedGeneration = null
  }

  engineChanged(state: EngineState): void {
    this.#state = state
    this.#join()
  }

  #join(): void {
    const state = this.#state
    if (!this.#wanted || state?.status !== 'ready' || this.#connectedGeneration === state.generation) return
    const { port1, port2 } = this.ends.createChannel()
    if (!this.ends.toEngine(port1)) return
    this.#connectedGeneration = state.generation
    this.ends.toPage(port2, state.generation)
  }
}
