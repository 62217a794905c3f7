/** From a data set to what a model computes on it, in the real window: example, extraction, table, map, search. */
import { readFileSync } from 'node:fs'
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
const tab = (name: string): Promise<void> => page().getByRole('tab', { name, exact: true }).click()

it('makes a collection of an example, and shows its rows, a map of them, and where a unit is largest', async () => {
  await page().getByRole('navigation', { name: 'Views' }).getByRole('button', { name: 'Data' }).click()
  await page().getByRole('button', { name: 'Example: reviews' }).click()
  await main().getByText('row-major', { exact: true }).waitFor()
  await expect.poll(() => main().innerText()).toMatch(/row 0 · \d+ tokens/)

  await page().getByRole('button', { name: 'Extract', exact: true }).click()
  await page().getByRole('button', { name: 'Open the collection' }).click()
  const table = page().getByRole('grid', { name: 'Rows of the collection' }).first()
  await table.getByText('disliked').first().waitFor()
  await table.focus()
  await page().keyboard.press('Enter')
  await page().getByRole('listbox', { name: 'Tokens by norm' }).getByRole('option').first().waitFor()

  const filter = page().getByRole('search', { name: 'Filter' }).getByRole('textbox')
  await filter.fill("label = 'liked' AND toknes > 12")
  await filter.press('Enter')
  await main()
    .getByText(/no such column: toknes/)
    .waitFor()
  await filter.fill("label = 'liked' AND tokens > 12")
  await filter.press('Enter')
  await expect.poll(() => table.innerText()).not.toContain('disliked')

  await tab('Maps')
  const map = page().getByRole('application', { name: /^PCA of / })
  await expect.poll(() => map.getAttribute('aria-label')).toMatch(/\. [1-9]\d* points/)
  await expect.poll(() => map.locator('canvas').count()).toBeGreaterThan(0)

  await tab('Search')
  await page().getByRole('button', { name: 'Search', exact: true }).click()
  await main().getByRole('heading', { name: 'Largest' }).waitFor()
  const saved = path.join(running.userData, 'page.html')
  await running.electron.evaluate(({ dialog }, filePath) => {
    dialog.showSaveDialog = async () => ({ canceled: false, filePath })
  }, saved)
  await main()
    .getByRole('button', { name: /^Export d_model 0/ })
    .click()
  await page().getByRole('menuitem', { name: 'Save as HTML page' }).click()
  await page().getByText(`Saved as ${saved}`).waitFor()
  expect(readFileSync(saved, 'utf8')).toMatch(/^<!doctype html>/i)
  expect(running.errors).toEqual([])
})
