import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { PatchbayError } from '../../preload/errors'
import { viewNames, type ShellCommand, type ViewName } from '../../preload/shell'
import { headlessReport, PageReports, screenshots } from '../../main/shell/report'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-test-'))
})
afterEach(() => {
  vi.useRealTimers()
  rmSync(folder, { recursive: true })
})

/** A page that obeys commands and reports when it has; its picture is a text that says what it shows. */
function page(reports: PageReports) {
  let view: ViewName = 'prompt'
  let theme: 'light' | 'dark' = 'dark'
  return {
    command: (command: ShellCommand) => {
      if (command.id === 'view.show') view = command.view
      if (command.id === 'theme.set' && command.theme !== 'system') theme = command.theme
      const settled = { view, theme }
      queueMicrotask(() => reports.viewSettled(settled))
    },
    capture: async () => new TextEncoder().encode(`${view} in ${theme}`),
  }
}

it('saves the window once it stands still, and resolves to the first lens', async () => {
  const reports = new PageReports()
  const done = headlessReport(page(reports), reports, path.join(folder, 'new'))
  reports.firstLens('layer 0: the')
  reports.firstLens('layer 0: later')
  reports.viewSettled({ view: 'prompt', theme: 'dark' })
  expect(await done).toBe('layer 0: the')
  expect(readFileSync(path.join(folder, 'new', 'patchbay.png'), 'utf8')).toBe('prompt in dark')
})

it('takes no picture of a window that is still drawing', async () => {
  const reports = new PageReports()
  const done = headlessReport(page(reports), reports, folder)
  reports.firstLens('x')
  await new Promise((resolve) => setImmediate(resolve))
  expect(readdirSync(folder)).toEqual([])
  reports.viewSettled({ view: 'prompt', theme: 'dark' })
  await done
  expect(readdirSync(folder)).toEqual(['patchbay.png'])
})

it('takes a picture of every view in light and dark, each when the page says it shows it', async () => {
  const reports = new PageReports()
  reports.firstLens('x')
  const files = await screenshots(page(reports), reports, folder)
  expect(files).toHaveLength(2 * viewNames.length)
  for (const file of readdirSync(folder))
    expect(readFileSync(path.join(folder, file), 'utf8')).toBe(file.replace('.png', '').replace('-', ' in '))
})

it('gives up with a reason when a view never comes to rest', async () => {
  vi.useFakeTimers()
  const reports = new PageReports()
  reports.firstLens('x')
  const window = { command: () => {}, capture: async () => new Uint8Array() }
  const failed = expect(screenshots(window, reports, folder)).rejects.toMatchObject({ code: 'run.timeout' })
  await vi.waitFor(() => expect(vi.getTimerCount()).toBeGreaterThan(0))
  await vi.advanceTimersByTimeAsync(120_000)
  await failed
  expect(vi.getTimerCount()).toBe(0)
})

it('fails at once when the engine has stopped for good', async () => {
  const reports = new PageReports()
  const done = headlessReport(page(reports), reports, folder)
  reports.fail(new PatchbayError('engine.stopped', 'The engine is gone.'))
  await expect(done).rejects.toMatchObject({ code: 'engine.stopped' })
  expect(readdirSync(folder)).toEqual([])
})
