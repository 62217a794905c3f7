/** How far a download is, how fast, and how long it will take; told at most some times a second. */
import type { DownloadProgress } from '../../../preload/hub'

/** The rate is that of the last seconds, so that it follows the connection. */
const windowMs = 5_000
const toldEveryMs = 100

export class ProgressMeter {
  private phase: DownloadProgress['phase'] | null = null
  private file: string | null = null
  private done = 0
  private readonly held = new Map<string, number>()
  /** What was done at the start of each tenth of a second. */
  private samples: { at: number; done: number }[] = []
  private toldAt = -Infinity

  /**
   * @param total bytes of the whole plan
   * @param now a clock in milliseconds
   */
  constructor(
    private readonly total: number,
    private readonly now: () => number,
    private readonly tell: (progress: DownloadProgress) => void,
  ) {}

  /** Another phase or file: told at once. */
  enter(phase: DownloadProgress['phase'], file: string | null): void {
    if (phase === this.phase && file === this.file) return
    this.phase = phase
    this.file = file
    this.report()
  }

  /** So many bytes of a file are there without our doing, or are there no more: the rate begins anew. */
  found(file: string, bytes: number): void {
    this.hold(file, bytes)
    this.samples = []
  }

  /** So many bytes of a file are there by now. */
  received(file: string, bytes: number): void {
    const at = this.now()
    const last = this.samples.at(-1)
    if (last === undefined || at - last.at >= toldEveryMs) this.samples.push({ at, done: this.done })
    this.hold(file, bytes)
    if (at - this.toldAt >= toldEveryMs) this.report()
  }

  private hold(file: string, bytes: number): void {
    this.done += bytes - (this.held.get(file) ?? 0)
    this.held.set(file, bytes)
  }

  private report(): void {
    if (this.phase === null) return
    this.toldAt = this.now()
    const bytesPerSecond = this.rate()
    const left = Math.max(0, this.total - this.done)
    const etaSeconds = bytesPerSecond === null || bytesPerSecond === 0 ? null : left / bytesPerSecond
    const { phase, file, done, total } = this
    this.tell({ phase, file, done, total, bytesPerSecond, etaSeconds })
  }

  private rate(): number | null {
    const now = this.now()
    while (this.samples.length > 1 && this.samples[0].at < now - windowMs) this.samples.shift()
    const first = this.samples.at(0)
    return first === undefined || now <= first.at
      ? null
      : ((this.done - first.done) * 1000) / (now - first.at)
  }
}
