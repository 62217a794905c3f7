/** An engine process and a clock that only move when a test says so. */
import type { ToEngineMessage } from '../../preload/shell'
import { Supervisor, type Clock, type EngineProcess } from '../../main/shell/supervisor'

export class FakeEngine implements EngineProcess<string> {
  readonly received: ToEngineMessage[] = []
  readonly ports: string[] = []
  killed = false
  /** What a real process does when it is killed. */
  diesWhenKilled = true
  #message: (message: unknown) => void = () => {}
  #stderr: (text: string) => void = () => {}
  #exit: (code: number) => void = () => {}

  post(message: ToEngineMessage, port?: string): void {
    this.received.push(message)
    if (port !== undefined) this.ports.push(port)
  }
  kill(): void {
    this.killed = true
    if (this.diesWhenKilled) this.exit(9)
  }
  onMessage(listener: (message: unknown) => void): void {
    this.#message = listener
  }
  onStderr(listener: (text: string) => void): void {
    this.#stderr = listener
  }
  onExit(listener: (code: number) => void): void {
    this.#exit = listener
  }

  say(message: unknown): void {
    this.#message(message)
  }
  complain(text: string): void {
    this.#stderr(text)
  }
  exit(code: number): void {
    this.#exit(code)
  }
  /** Answers every ping so far that has none. */
  pong(): void {
    for (const message of this.received.splice(0))
      if (message.type === 'ping') this.say({ type: 'pong', id: message.id })
  }
}

export class FakeClock implements Clock {
  #time = 0
  readonly #timers = new Set<{ ms: number; due: number; tick: () => void }>()

  readonly now = (): number => this.#time
  readonly every = (ms: number, tick: () => void): (() => void) => {
    const timer = { ms, due: this.#time + ms, tick }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Lets time pass, with every tick that falls due on the way. */
  pass(ms: number): void {
    const end = this.#time + ms
    for (;;) {
      const [next] = [...this.#timers].filter(({ due }) => due <= end).sort((a, b) => a.due - b.due)
      if (next === undefined) break
      this.#time = next.due
      next.due += next.ms
      next.tick()
    }
    this.#time = end
  }

  /** The machine sleeps: time goes on, and every timer is due once on waking. */
  sleep(ms: number): void {
    this.#time += ms
    for (const timer of [...this.#timers]) {
      timer.due = this.#time + timer.ms
      timer.tick()
    }
  }

  get running(): number {
    return this.#timers.size
  }
}

export function supervised(options: { hangLimitMs?: number } = {}) {
  const engines: FakeEngine[] = []
  const clock = new FakeClock()
  const log: string[] = []
  const supervisor = new Supervisor<string>({
    fork: () => {
      const engine = new FakeEngine()
      engines.push(engine)
      return engine
    },
    clock,
    dataDir: '/data',
    cacheDir: '/cache',
    assetsDir: '/assets',
    log: (line) => log.push(line),
    ...options,
  })
  const states: string[] = []
  supervisor.onState((state) => states.push(`${state.status} ${state.generation}`))
  /** The engine that runs now. */
  const current = (): FakeEngine => {
    const engine = engines.at(-1)
    if (engine === undefined) throw new Error('no engine was forked')
    return engine
  }
  return { supervisor, clock, engines, states, log, current }
}
