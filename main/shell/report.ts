/** Runs without a person in front of the window: pictures of it, and the first lens as text. */
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { viewNames, type ShellCommand, type ViewName } from '../../preload/shell'
import { PatchbayError } from '../../preload/errors'
import { writeWhole } from '../files/durable-file'

type Settled = { view: ViewName; theme: 'light' | 'dark' }

/** What the page has reported; the runs below wait for it instead of sleeping. */
export class PageReports {
  #firstLens: string | null = null
  #settled: Settled | null = null
  #failure: PatchbayError | null = null
  readonly #waiting = new Set<() => void>()

  firstLens(text: string): void {
    this.#firstLens ??= text
    this.#wake()
  }

  viewSettled(settled: Settled): void {
    this.#settled = settled
    this.#wake()
  }

  /** Nothing more is to be expected: the engine or the page is gone. */
  fail(error: PatchbayError): void {
    this.#failure = error
    this.#wake()
  }

  async untilFirstLens(limitMs: number): Promise<string> {
    await this.#until(() => this.#firstLens !== null, limitMs, 'The window did not show a lens')
    return this.#firstLens ?? ''
  }

  /** Whatever view it is: data loaded, charts drawn. */
  async untilAtRest(limitMs: number): Promise<void> {
    await this.#until(() => this.#settled !== null, limitMs, 'The window did not come to rest')
  }

  /** Holds at once where the page rests there already: it reports changes only. */
  async untilSettled({ view, theme }: Settled, limitMs: number): Promise<void> {
    const there = (): boolean => this.#settled?.view === view && this.#settled.theme === theme
    await this.#until(there, limitMs, `The view "${view}" (${theme}) did not come to rest`)
  }

  async #until(reached: () => boolean, limitMs: number, otherwise: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const check = (): void => {
        if (!reached() && this.#failure === null) return
        clearTimeout(timer)
        this.#waiting.delete(check)
        if (this.#failure === null) resolve()
        else reject(this.#failure)
      }
      const timer = setTimeout(() => {
        this.#waiting.delete(check)
        const message = `${otherwise} within ${limitMs / 1000} seconds.`
        reject(
          new PatchbayError('run.timeout', message, {
            next: 'Read what the engine wrote above, and try again.',
          }),
        )
      }, limitMs)
      this.#waiting.add(check)
      check()
    })
  }

  #wake(): void {
    for (const check of [...this.#waiting]) check()
  }
}

/** What a run needs of the window. */
export interface ReportWindow {
  command(command: ShellCommand): void
  /** The window's content as PNG. */
  capture(): Promise<Uint8Array>
}

const limitMs = 120_000

/** Writes DIR/patchbay.png once the first view is drawn; resolves to the lens as text. */
export async function headlessReport(
  window: ReportWindow,
  reports: PageReports,
  folder: string,
): Promise<string> {
  const text = await reports.untilFirstLens(limitMs)
  await reports.untilAtRest(limitMs)
  await mkdir(folder, { recursive: true })
  await writeWhole(path.join(folder, 'patchbay.png'), await window.capture())
  return text
}

/** Writes DIR/VIEW-THEME.png for every view in light and dark; resolves to the files. */
export async function screenshots(
  window: ReportWindow,
  reports: PageReports,
  folder: string,
): Promise<string[]> {
  await reports.untilFirstLens(limitMs)
  await mkdir(folder, { recursive: true })
  const files: string[] = []
  for (const theme of ['light', 'dark'] as const)
    for (const view of viewNames) {
      window.command({ id: 'theme.set', theme })
      window.command({ id: 'view.show', view })
      await reports.untilSettled({ view, theme }, limitMs)
      const file = path.join(folder, `${view}-${theme}.png`)
      await writeWhole(file, await window.capture())
      files.push(file)
    }
  return files
}
