/** What a person can do, each in the real window, from the first launch on. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { root } from '../../main/launch/folders.mjs'
import { enginePid, launchApp, type RunningApp } from './app'

const gpt2 = path.join(root, 'test', 'reference', 'cases', 'architectures', 'gpt2')

let running: RunningApp
const page = () => running.page

beforeAll(async () => {
  running = await launchApp()
})
afterAll(async () => {
  await running.close()
})

const view = (name: string): Promise<void> =>
  page().getByRole('navigation', { name: 'Views' }).getByRole('button', { name }).click()
const status = () => page().getByRole('contentinfo', { name: 'Status' })
const inspector = () => page().getByRole('complementary', { name: 'Inspector' })
const prompt = () => page().getByRole('textbox', { name: 'Prompt', exact: true })

const topTokens = () =>
  page()
    .getByRole('list', { name: /^Top 10/ })
    .first()

/** Selects the last position at the output of the last block. */
async function selectEnd(): Promise<void> {
  await page()
    .getByRole('application', { name: /Logit lens/ })
    .focus()
  for (const key of ['End', 'ArrowUp', 'ArrowUp', 'ArrowUp']) await page().keyboard.press(key)
}

/** Answers the next save dialogs with a file in the test's folder. */
async function saveTo(name: string): Promise<string> {
  const file = path.join(running.userData, name)
  await running.electron.evaluate(({ dialog }, chosen) => {
    dialog.showSaveDialog = async () => ({ canceled: false, filePath: chosen })
  }, file)
  return file
}

describe('the first launch', () => {
  it('shows the embedded model with a prompt analysed, and asks nothing', async () => {
    await topTokens().getByText('Mary').first().waitFor()
    await expect.poll(() => status().innerText()).toMatch(/storyworld[\s\S]*float32[\s\S]*CPU[\s\S]*MiB/)
    expect(await page().getByRole('dialog').count()).toBe(0)
    expect(running.errors).toEqual([])
  })
})

describe('the Prompt view', () => {
  it('moves one selection through all panels by keyboard', async () => {
    await page()
      .getByRole('application', { name: /Logit lens/ })
      .focus()
    await page().keyboard.press('ArrowLeft')
    await page().keyboard.press('ArrowDown')
    await expect.poll(() => inspector().innerText()).toMatch(/block 2 · position 12/)
    await expect.poll(() => page().getByRole('main').innerText()).toMatch(/block 2 · position 12/)
    await expect.poll(() => page().getByRole('main').innerText()).toMatch(/after position 12/)
  })

  it('pins a selection and shows both', async () => {
    await page().keyboard.press('p')
    await page().keyboard.press('ArrowUp')
    await expect.poll(() => page().getByRole('main').innerText()).toMatch(/[Pp]inned/)
    await page().keyboard.press('p')
  })

  it('opens one head with its lines', async () => {
    await page().getByRole('listbox', { name: 'Attention heads' }).getByRole('option').nth(5).click()
    await expect.poll(() => page().getByRole('main').innerText()).toMatch(/Layer \d · head \d/)
  })

  it('analyses another prompt as it is typed', async () => {
    await prompt().fill('Mary went to the park because')
    await selectEnd()
    await topTokens().getByText('she').first().waitFor()
  })

  it('says what is wrong with an empty and with an endless prompt, and goes on', async () => {
    await prompt().fill('')
    await expect.poll(() => page().getByRole('banner').innerText()).toMatch(/empty|Write a prompt|Type/i)
    await prompt().fill('store '.repeat(600))
    await expect.poll(() => page().getByRole('banner').innerText()).toMatch(/reads at most 512/)
    await prompt().fill('Mary went to the park because')
    await topTokens().getByText('she').first().waitFor()
  })

  it('shows a hostile prompt as text and nothing else', async () => {
    const hostile =
      '<img src=x onerror="window.intruder=1"><script>window.intruder=1</script> javascript:alert(1)'
    await prompt().fill(hostile)
    await page()
      .getByRole('listbox', { name: /[Tt]okens/ })
      .first()
      .getByText('onerror')
      .or(page().getByText('#'))
      .first()
      .waitFor()
    await expect.poll(() => page().getByRole('main').innerText()).toMatch(/after position \d+/)
    for (const name of ['Layers', 'Compare', 'Patch', 'Attribute', 'Steer', 'Prompt']) await view(name)
    expect(await page().evaluate(() => 'intruder' in globalThis)).toBe(false)
    expect(await page().locator('img[src="x"]').count()).toBe(0)
    expect(running.errors).toEqual([])
    await view('Prompt')
    await prompt().fill('When Mary and John went to the store, John gave a drink to')
  })
})

describe('the Layers view', () => {
  it('shows the activation at a hook point and exports it as a NumPy array', async () => {
    await view('Layers')
    await page()
      .getByRole('textbox', { name: 'Filter hook points' })
      .or(page().getByRole('searchbox', { name: 'Filter hook points' }))
      .fill('blocks.2.mlp.hook_post')
    await page().getByRole('treeitem').filter({ hasText: 'mlp.hook_post' }).first().click()
    await expect.poll(() => page().getByRole('main').innerText()).toMatch(/\[1, 14, 384\]/)
    const file = await saveTo('post.npy')
    await inspector().getByRole('button', { name: /NumPy/ }).click()
    await expect.poll(() => header(file)).toMatch(/NUMPY.*'shape': \(14, 384\)/s)
  })

  it('shows the statistics of a parameter', async () => {
    await page().getByRole('tab', { name: 'Parameters' }).click()
    await page()
      .getByRole('textbox', { name: 'Filter parameters' })
      .or(page().getByRole('searchbox', { name: 'Filter parameters' }))
      .fill('layers.0.mlp.down_proj')
    await page().getByRole('treeitem').filter({ hasText: 'down_proj' }).first().click()
    await expect.poll(() => page().getByRole('main').innerText()).toMatch(/128[\s\S]*384/)
  })
})

describe('the Compare view', () => {
  it('aligns two prompts of different length and lists what moved most', async () => {
    await view('Compare')
    await page()
      .getByRole('textbox', { name: /Right/ })
      .fill('When Mary and John went to the big store, Mary gave a drink to')
    await page().getByRole('listbox', { name: 'Aligned tokens of both prompts' }).waitFor()
    await page().getByRole('tab', { name: 'Next tokens' }).click()
    await expect.poll(() => page().getByRole('main').innerText()).toMatch(/Mary[\s\S]*John|John[\s\S]*Mary/)
    await page().getByRole('tab', { name: 'Residual stream' }).click()
    await expect.poll(() => page().getByRole('main').innerText()).toMatch(/[Cc]osine/)
    await page().getByRole('tab', { name: 'Attention' }).click()
    await expect.poll(() => page().getByRole('main').innerText()).toMatch(/[Dd]ifference/)
    expect(running.errors).toEqual([])
  })
})

describe('the Patch view', () => {
  it('sweeps every place of the residual stream, and shows what a patched one leads to', async () => {
    await view('Patch')
    await page()
      .getByRole('textbox', { name: /Corrupt/ })
      .fill('When Mary and John went to the store, Mary gave a drink to')
    await page()
      .getByText(/56 of 56 places in/)
      .waitFor()
    await page()
      .getByRole('application', { name: /Patching: Residual/ })
      .focus()
    await page().keyboard.press('Enter')
    await page()
      .getByRole('application', { name: /Next-token probabilities: patched/ })
      .waitFor()
    expect(running.errors).toEqual([])
  })
})

describe('the Attribute view', () => {
  const said = (text: RegExp): Promise<void> => page().getByText(text).waitFor()

  it('splits a logit difference into parts that add up to it', async () => {
    await view('Attribute')
    await said(/parts add up to [\d.]+, remainder −?[\d.]+e−\d/)
  })

  it('estimates patching everywhere, and patches the largest for real', async () => {
    await page().getByRole('tab', { name: 'Patching' }).click()
    await page().getByRole('button', { name: 'Patch the 20 largest' }).click()
    await said(/20 patched; mean error [\d.]+ logits/)
  })

  it('draws a circuit of two prompts of one length, and measures how faithful it is', async () => {
    const corrupt = page().getByRole('textbox', { name: /Corrupt/ })
    await page().getByRole('tab', { name: 'Circuit' }).click()
    await corrupt.fill('When Mary and John went to the big store, Mary gave a drink to')
    await said(/The two prompts differ in length/)
    await corrupt.fill('When Mary and John went to the store, Mary gave a drink to')
    await page()
      .getByRole('button', { name: /^MLP 0: / })
      .waitFor()
    await page().getByRole('button', { name: 'Measure' }).click()
    await said(/edges keep [\d.]+ % of the difference/)
    expect(running.errors).toEqual([])
  })
})

describe('the Steer view', () => {
  it('streams baseline and steered continuations of a bundled preset side by side', async () => {
    await view('Steer')
    await page().getByRole('complementary', { name: 'Presets' }).getByText('Sentiment of reviews').click()
    await expect.poll(() => page().getByRole('main').innerText()).toMatch(/mean KL [\d.]+ nats/)
    await expect.poll(() => page().getByRole('main').innerText()).toMatch(/\d+ of \d+ differ/)
  })

  it('makes a preset from contrast pairs and lists it', async () => {
    await page().getByRole('button', { name: 'New from pairs' }).click()
    const pair = (row: number, side: string) => page().getByRole('textbox', { name: `Pair ${row}, ${side}` })
    await pair(1, 'positive').fill('The acting was wonderful')
    await pair(1, 'negative').fill('The acting was terrible')
    await page().getByRole('textbox', { name: /^Name/ }).fill('My mood')
    await page().getByRole('button', { name: /^Make/ }).click()
    await page().getByRole('complementary', { name: 'Presets' }).getByText('My mood').waitFor()
  })
})

describe('opening models', () => {
  it('opens a folder by the dialog, and says what computes it', async () => {
    await view('Prompt')
    await running.electron.evaluate(({ dialog }, chosen) => {
      dialog.showOpenDialog = async () => ({ canceled: false, filePaths: [chosen] })
    }, gpt2)
    await page()
      .getByRole('button', { name: /Model:/ })
      .click()
    await page()
      .getByRole('button', { name: /Open folder/ })
      .click()
    await expect.poll(() => status().innerText()).toMatch(/^gpt2$/m) // while it opens: “Opening gpt2”
    await expect.poll(() => page().getByRole('banner').innerText()).toMatch(/12|ids|tokenizer/)
  })

  it('says in words what is wrong with a broken file, and keeps the open model', async () => {
    await running.electron.evaluate(
      ({ dialog }, chosen) => {
        dialog.showOpenDialog = async () => ({ canceled: false, filePaths: [chosen] })
      },
      path.join(root, 'package.json'),
    )
    await page()
      .getByRole('button', { name: /Model:/ })
      .click()
    await page()
      .getByRole('button', { name: /Open file/ })
      .click()
    await page().getByRole('region', { name: 'Messages' }).getByRole('alert').first().waitFor()
    expect(await status().innerText()).toMatch(/gpt2/)
  })

  it('opens what is dropped on the window, and remembers it in the library', async () => {
    const session = await page().context().newCDPSession(page())
    const data = {
      items: [],
      files: [path.join(root, 'assets', 'models', 'storyworld')],
      dragOperationsMask: 1,
    }
    for (const type of ['dragEnter', 'dragOver', 'drop'] as const)
      await session.send('Input.dispatchDragEvent', { type, x: 400, y: 400, data })
    await expect.poll(() => status().innerText()).toMatch(/storyworld/)
    await page()
      .getByRole('button', { name: /Model:/ })
      .click()
    await page().getByRole('list', { name: 'Library' }).getByText('gpt2').first().waitFor()
    await page().keyboard.press('Escape')
  })
})

describe('an engine that dies', () => {
  it('takes its pending calls with it within a second, and the same request succeeds within ten', async () => {
    await view('Steer')
    await page().getByRole('complementary', { name: 'Presets' }).getByText('Mood of stories').click()
    const again = page().getByRole('button', { name: 'Run again' })
    await again.waitFor()
    const pid = await enginePid(running.electron)
    process.kill(pid, 'SIGSTOP') // stands still as in a long native call, so that the run is surely under way
    await again.click()
    const stop = page().getByRole('button', { name: 'Stop', exact: true })
    await stop.waitFor()
    process.kill(pid, 'SIGKILL')
    const killed = Date.now()
    await stop.waitFor({ state: 'hidden' })
    expect(Date.now() - killed).toBeLessThan(1000)
    await expect.poll(() => enginePid(running.electron).catch(() => pid), { timeout: 10_000 }).not.toBe(pid)
    await view('Prompt')
    await prompt().fill('John went to the park because')
    await selectEnd()
    await topTokens()
      .getByText(/^.?he$/)
      .first()
      .waitFor({ timeout: 10_000 })
  })
})

/** The head of a .npy file as text; empty until it is there. */
function header(file: string): string {
  try {
    return readFileSync(file).subarray(0, 128).toString('latin1')
  } catch {
    return ''
  }
}
