/** A graph that somebody else exported: chosen, looked at, opened, and looked into, in the real window. */
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { root } from '../../main/launch/folders.mjs'
import { launchApp, type RunningApp } from './app'

const file = path.join(root, 'test/reference/cases/onnx-exports/llama-optimum-past/model.onnx')

let running: RunningApp
const page = () => running.page
const report = () => page().getByRole('dialog')

beforeAll(async () => {
  running = await launchApp()
  await running.electron.evaluate(({ dialog }, chosen) => {
    dialog.showOpenDialog = async () => ({ canceled: false, filePaths: [chosen] })
  }, file)
})
afterAll(async () => {
  await running.close()
})

describe('an ONNX file', () => {
  it('is shown with what was recognised before it is opened, and left by Escape', async () => {
    await page().getByText('storyworld').first().waitFor()
    await page().getByRole('main').click()
    await page().keyboard.press('Control+o')
    await report().getByText('A decoder of 2 blocks').waitFor()
    await page().keyboard.press('Escape')
    await expect.poll(() => report().count()).toBe(0)
    expect(await page().getByRole('contentinfo', { name: 'Status' }).innerText()).toMatch(/storyworld/)
  })

  it('is searched, opened and looked into by keyboard', async () => {
    await page().keyboard.press('Control+o')
    await report().getByRole('searchbox').fill('softmax')
    await expect.poll(() => report().getByRole('option').count()).toBe(2)
    await report().getByRole('button', { name: 'Open' }).focus()
    await page().keyboard.press('Enter')
    await expect
      .poll(() => page().getByRole('contentinfo', { name: 'Status' }).innerText())
      .toMatch(/llama-optimum-past/)
    await page().getByRole('textbox', { name: 'Prompt', exact: true }).fill('5 6 7 8')
    const lens = page().getByRole('application', { name: /Logit lens/ })
    await lens.waitFor()
    await expect
      .poll(() => lens.getAttribute('aria-label'))
      .toMatch(/3 points of the residual stream by 4 positions/)
    expect(running.errors).toEqual([])
  })
})
