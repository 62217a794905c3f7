import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { defaultSettings, loadSettings, saveSettings, SettingsStore } from '../../main/shell/settings'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-test-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const file = (): string => path.join(folder, 'shell.json')

it('starts with the defaults where nothing was saved', async () => {
  expect(await loadSettings(path.join(folder, 'new'))).toEqual({ settings: defaultSettings })
})

it('reads back what was saved, and leaves no temporary file', async () => {
  const settings = {
    ...defaultSettings,
    theme: 'dark' as const,
    window: { x: -5, y: 0, width: 1000, height: 700, maximized: true },
  }
  await saveSettings(folder, settings)
  expect(await loadSettings(folder)).toEqual({ settings })
  expect(readdirSync(folder)).toEqual(['shell.json'])
})

it.each([
  ['half of it', '{"version":1,"theme":"da'],
  ['nothing', ''],
  ['zeros', '\0'.repeat(64)],
  ['another shape', '[1]'],
])('keeps the settings before when the file holds %s, and tells the person', async (_what, text) => {
  await saveSettings(folder, { ...defaultSettings, theme: 'light' })
  await saveSettings(folder, { ...defaultSettings, theme: 'dark' })
  writeFileSync(file(), text)
  const { settings, notice } = await loadSettings(folder)
  expect(settings.theme).toBe('light')
  expect(notice).toContain('shell.json.damaged')
  expect(readFileSync(`${file()}.damaged`, 'utf8')).toBe(text)
})

it('falls back to the defaults when there are none before, and tells the person', async () => {
  writeFileSync(file(), '{')
  const { settings, notice } = await loadSettings(folder)
  expect(settings).toEqual(defaultSettings)
  expect(notice).toMatch(/defaults/)
})

it('never replaces good previous settings by a damaged file', async () => {
  await saveSettings(folder, { ...defaultSettings, theme: 'light' })
  await saveSettings(folder, { ...defaultSettings, theme: 'dark' })
  writeFileSync(file(), '{')
  await saveSettings(folder, { ...defaultSettings, theme: 'system' })
  writeFileSync(file(), '{')
  expect((await loadSettings(folder)).settings.theme).toBe('light')
})

it('refuses values that make no sense', async () => {
  writeFileSync(file(), JSON.stringify({ version: 1, engineHangSeconds: -1 }))
  expect((await loadSettings(folder)).settings.engineHangSeconds).toBe(300)
})

it('saves changes one after the other, the last one last', async () => {
  const store = new SettingsStore(folder, defaultSettings, () => {})
  for (const theme of ['light', 'dark', 'system', 'dark'] as const) store.update({ theme })
  await store.flush()
  expect((await loadSettings(folder)).settings.theme).toBe('dark')
})

it('says in the log when they could not be saved, and goes on', async () => {
  const blocked = path.join(folder, 'file')
  writeFileSync(blocked, '')
  const log: string[] = []
  const store = new SettingsStore(path.join(blocked, 'sub'), defaultSettings, (line) => log.push(line))
  store.update({ theme: 'dark' })
  await store.flush()
  expect(log).toHaveLength(1)
  expect(store.value.theme).toBe('dark')
  expect(existsSync(path.join(blocked, 'sub'))).toBe(false)
})
