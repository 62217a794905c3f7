/** Patching on the embedded model in the real window: two pairs averaged, a path, a circuit kept while all else is replaced. */
import path from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { launchApp, type RunningApp } from './app'

let running: RunningApp
const page = () => running.page

beforeAll(async () => {
  running = await launchApp()
})
afterAll(async () => {
  await running.close()
})

const main = () => page().getByRole('main')

/** For people: what the window shows, where PATCHBAY_PICTURES names a folder. */
async function picture(name: string): Promise<void> {
  const folder = process.env.PATCHBAY_PICTURES
  if (folder !== undefined) await page().screenshot({ path: path.join(folder, `${name}.png`) })
}

async function resize(width: number, height: number): Promise<void> {
  await running.electron.evaluate(
    ({ BrowserWindow }, size) => BrowserWindow.getAllWindows()[0].setContentSize(...size),
    [width, height] as [number, number],
  )
  await expect.poll(() => page().evaluate<number>('innerHeight')).toBe(height)
}

it('averages two pairs, looks closer at a path, and keeps a circuit', async () => {
  await page().getByRole('navigation', { name: 'Views' }).getByRole('button', { name: 'Patch' }).click()
  await main().getByRole('button', { name: 'Edit pairs' }).click()
  await main().getByRole('button', { name: 'Add swapped' }).click()
  await main().getByText('means over 2', { exact: true }).waitFor()
  await main().getByRole('button', { name: 'Edit pairs' }).click()
  await main()
    .getByText(/^(\d+) of \1 places in/)
    .waitFor()
  const map = () => main().getByRole('application', { name: /^Patching: / })
  expect(await map().getAttribute('aria-label')).toContain('Residual stream')
  await picture('pairs')

  // In a small window the map is in sight without scrolling, too.
  await resize(960, 600)
  const cells = await map().boundingBox()
  expect(cells?.y).toBeLessThan(600 - 200)
  await picture('pairs-small')
  await resize(1280, 800)

  await main().getByRole('radio', { name: 'Paths' }).click()
  await main().getByLabel('Receivers, typed').fill('L3H1 q, logits')
  await main().getByLabel('Receivers, typed').press('Enter')
  await main()
    .getByText(/^16 of 16 places in/)
    .waitFor()
  await map().focus()
  await page().keyboard.press('Enter')
  const chances = main().getByRole('application', { name: /^Next-token probabilities: patched/ })
  await chances.locator('canvas').first().waitFor()
  await chances.scrollIntoViewIfNeeded()
  await picture('path')

  await main().getByRole('radio', { name: 'Scrubbing' }).click()
  await main().getByLabel('Kept components, typed').fill('L0, L3')
  await main().getByLabel('Kept components, typed').press('Enter')
  const sets = main().getByRole('region', { name: 'Sets and their metric' })
  await sets.getByRole('row', { name: /^kept only 10 10 / }).waitFor()
  await sets.scrollIntoViewIfNeeded()
  await picture('scrubbing')
  expect(running.errors).toEqual([])
})
