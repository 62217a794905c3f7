/** The shell's bridge for tests: remembers what it was asked for. */
import type { EngineState, LaunchInfo, ShellBridge, ShellCommand } from '../../../preload/shell'

export class FakeShell implements ShellBridge {
  readonly saved: { suggestedName: string; bytes: Uint8Array; beside?: Uint8Array }[] = []
  readonly clipboard: string[] = []
  readonly lenses: string[] = []
  readonly settled: string[] = []
  hardCancels = 0
  restarts = 0
  /** What the next dialog answers. */
  chosen: string | null = null
  info: LaunchInfo = { headlessReport: false, version: '0.1.0', electron: '45.0.0', theme: 'light' }
  state: EngineState = { status: 'ready', generation: 1, reason: null, stderr: null }
  #stateListeners = new Set<(state: EngineState) => void>()
  #commandListeners = new Set<(command: ShellCommand) => void>()

  async choosePath(): Promise<string | null> {
    return this.chosen
  }
  async saveFile(file: {
    suggestedName: string
    bytes: Uint8Array
    beside?: Uint8Array
  }): Promise<{ path: string } | null> {
    this.saved.push(file)
    return { path: `/home/someone/${file.suggestedName}` }
  }
  async openFile(): Promise<{ name: string; bytes: Uint8Array } | null> {
    return null
  }
  pathForFile(file: File): string {
    return file.name === '' ? '' : `/dropped/${file.name}`
  }
  async engineState(): Promise<EngineState> {
    return this.state
  }
  onEngineState(listener: (state: EngineState) => void): () => void {
    this.#stateListeners.add(listener)
    return () => this.#stateListeners.delete(listener)
  }
  async requestEnginePort(): Promise<void> {}
  async restartEngine(): Promise<void> {
    this.restarts++
  }
  async hardCancel(): Promise<void> {
    this.hardCancels++
  }
  onCommand(listener: (command: ShellCommand) => void): () => void {
    this.#commandListeners.add(listener)
    return () => this.#commandListeners.delete(listener)
  }
  launch(): LaunchInfo {
    return this.info
  }
  async reportFirstLens(text: string): Promise<void> {
    this.lenses.push(text)
  }
  async reportViewSettled(view: string, theme: string): Promise<void> {
    this.settled.push(`${view} ${theme}`)
  }
  async setTheme(): Promise<void> {}
  async writeClipboard(text: string): Promise<void> {
    this.clipboard.push(text)
  }

  /** The shell tells the window about the engine. */
  tell(state: Partial<EngineState>): void {
    this.state = { ...this.state, ...state }
    for (const listener of this.#stateListeners) listener(this.state)
  }
  command(command: ShellCommand): void {
    for (const listener of this.#commandListeners) listener(command)
  }
}
