/** The running app: one engine, one window, and what joins them. */
import { app, clipboard, dialog, ipcMain, Menu, MessageChannelMain, nativeTheme } from 'electron'
import type { BrowserWindow, MessagePortMain } from 'electron'
import path from 'node:path'
import { version } from '../../package.json'
import { PatchbayError } from '../../preload/errors'
import {
  enginePortChannel,
  eventChannel,
  type EngineState,
  type ShellCommand,
  type ThemeName,
} from '../../preload/shell'
import type { AppArguments } from './arguments'
import { RestartBudget } from './budget'
import { Connection } from './connection'
import { choosePath, openFile, saveFile } from './dialogs'
import { forkEngine } from './engine-process'
import { serveCalls } from './ipc'
import { menuTemplate } from './menu'
import type { AppPaths } from './paths'
import { PageReports, type ReportWindow } from './report'
import type { SettingsStore } from './settings'
import { Supervisor } from './supervisor'
import { backgroundColor, boundsOf, openWindow } from './window'

export interface WorkbenchOptions {
  arguments: AppArguments
  paths: AppPaths
  settings: SettingsStore
  /** To be shown to the person once. */
  notice: string | undefined
  /** No person in front of the window: failures end the run instead of being offered for a retry. */
  unattended: boolean
  /** Folder with the built bundles. */
  dist: string
  log: (line: string) => void
}

const monotonic = (): number => performance.now()

export class Workbench implements ReportWindow {
  readonly reports = new PageReports()
  readonly #supervisor: Supervisor<MessagePortMain>
  readonly #connection: Connection<MessagePortMain>
  readonly #reloads = new RestartBudget(monotonic)
  #window: BrowserWindow | null = null
  /** Commands for a page that is still loading. */
  #pending: ShellCommand[] = []
  #pageListens = false

  constructor(private readonly options: WorkbenchOptions) {
    const { paths, settings, dist, log } = options
    this.#supervisor = new Supervisor({
      fork: () => forkEngine(path.join(dist, 'engine', 'entry.js')),
      clock: {
        now: monotonic,
        every: (ms, tick) => {
          const timer = setInterval(tick, ms)
          return () => clearInterval(timer)
        },
      },
      dataDir: paths.dataDir,
      cacheDir: paths.cacheDir,
      assetsDir: paths.assetsDir,
      hangLimitMs: settings.value.engineHangSeconds * 1000,
      log,
    })
    this.#connection = new Connection({
      createChannel: () => new MessageChannelMain(),
      toEngine: (port) => this.#supervisor.connect(port),
      toPage: (port, generation) =>
        this.#window?.webContents.postMessage(
          enginePortChannel,
          { type: 'patchbay:engine-port', generation },
          [port],
        ),
    })
    this.#supervisor.onState((state) => this.#engineChanged(state))
    this.#serve()
  }

  /** Starts the engine and opens the window; both load at the same time. */
  open(): void {
    this.#supervisor.start()
    this.#setTheme(this.options.settings.value.theme)
    this.#openWindow()
  }

  /** Brings the window forward; opens it where it was closed (macOS). */
  show(): void {
    if (this.#window === null) this.#openWindow()
    if (this.#window?.isMinimized() === true) this.#window.restore()
    this.#window?.focus()
  }

  /** Sends a command to the page, now or when it listens. */
  command(command: ShellCommand): void {
    if (this.#pageListens) this.#window?.webContents.send(eventChannel('command'), command)
    else this.#pending.push(command)
  }

  async capture(): Promise<Uint8Array> {
    if (this.#window === null) throw new PatchbayError('internal', 'There is no window to take a picture of.')
    return (await this.#window.webContents.capturePage()).toPNG()
  }

  /** Ends the engine and saves what is to be kept. */
  async close(): Promise<void> {
    this.#rememberBounds()
    await this.#supervisor.shutdown()
    await this.options.settings.flush()
  }

  #openWindow(): void {
    const { arguments: args, dist, settings, notice, unattended } = this.options
    const window = openWindow({
      preload: path.join(dist, 'preload', 'index.cjs'),
      launch: {
        modelPath: args.modelPath,
        headlessReport: unattended,
        version,
        electron: process.versions['electron'] ?? '',
        theme: settings.value.theme,
        notice,
      },
      bounds: settings.value.window,
      size: args.size,
    })
    this.#window = window
    window.on('close', () => this.#rememberBounds())
    window.on('closed', () => {
      this.#window = null
      this.#pageLeft()
    })
    window.webContents.on('did-navigate', () => this.#pageLeft())
    window.webContents.on('render-process-gone', (_event, { reason }) => this.#pageCrashed(window, reason))
    window.webContents.on('preload-error', (_event, file, error) => {
      this.options.log(`The bridge ${file} failed: ${error.stack ?? error.message}`)
    })
  }

  #rememberBounds(): void {
    const { arguments: args, settings, unattended } = this.options
    if (this.#window === null || unattended || args.size !== undefined) return
    settings.update({ window: boundsOf(this.#window) })
  }

  #engineChanged(state: EngineState): void {
    this.#window?.webContents.send(eventChannel('engine.state'), state)
    this.#connection.engineChanged(state)
    if (state.status === 'stopped' && state.reason !== null)
      this.reports.fail(
        new PatchbayError('engine.stopped', state.reason, { next: state.stderr ?? undefined }),
      )
  }

  #pageLeft(): void {
    this.#pageListens = false
    this.#connection.pageLeft()
  }

  /** The engine goes on; a fresh page finds it as it is. */
  #pageCrashed(window: BrowserWindow, reason: string): void {
    this.#pageLeft()
    if (reason === 'clean-exit') return
    this.options.log(`The window's process ended (${reason}).`)
    if (!this.options.unattended && this.#reloads.spend()) window.webContents.reload()
    else this.reports.fail(new PatchbayError('internal', `The window's process ended (${reason}).`))
  }

  #setTheme(theme: ThemeName): void {
    const { settings } = this.options
    nativeTheme.themeSource = theme
    if (settings.value.theme !== theme) settings.update({ theme })
    this.#window?.setBackgroundColor(backgroundColor(nativeTheme.shouldUseDarkColors))
    Menu.setApplicationMenu(
      Menu.buildFromTemplate(
        menuTemplate({
          platform: process.platform,
          developer: !app.isPackaged,
          theme,
          send: (command) => this.command(command),
        }),
      ),
    )
  }

  #serve(): void {
    const ask = async <T>(question: (window: BrowserWindow) => Promise<T>): Promise<T | null> =>
      this.#window === null ? null : question(this.#window)
    serveCalls(ipcMain, {
      'path.choose': (input) => ask((window) => choosePath(dialog, window, input)),
      'file.save': (input) => ask((window) => saveFile(dialog, window, input)),
      'file.open': (input) => ask((window) => openFile(dialog, window, input)),
      'engine.state': () => this.#supervisor.state,
      'engine.port': () => {
        this.#pageListens = true
        for (const command of this.#pending.splice(0)) this.command(command)
        this.#connection.request()
        return null
      },
      'engine.restart': () => {
        this.#supervisor.restart()
        return null
      },
      'engine.hardCancel': () => {
        this.#supervisor.hardCancel()
        return null
      },
      'report.firstLens': ({ text }) => {
        if (this.options.unattended)
          this.options.log(`First lens ${(monotonic() / 1000).toFixed(1)} s after the start.`)
        this.reports.firstLens(text)
        return null
      },
      'report.viewSettled': (settled) => {
        this.reports.viewSettled(settled)
        return null
      },
      'theme.set': ({ theme }) => {
        this.#setTheme(theme)
        return null
      },
      'clipboard.write': async ({ text }) => {
        await clipboard.writeText(text)
        return null
      },
    })
  }
}
