/** Electron's main process: reads the command line, makes sure there is one app per user-data folder, opens the workbench. */
import { app, dialog, protocol, session } from 'electron'
import path from 'node:path'
import { z } from 'zod'
import { asPatchbayError } from '../../preload/errors'
import { ownArguments, parseArguments, type AppArguments } from './arguments'
import { appPaths } from './paths'
import { scheme, serveFiles } from './protocol'
import { headlessReport, screenshots } from './report'
import { hardenContents, hardenSession } from './security'
import { loadSettings, SettingsStore } from './settings'
import { Workbench } from './workbench'

const log = (line: string): void => console.error(`patchbay: ${line}`)

const print = (text: string): Promise<void> =>
  new Promise((resolve) => process.stdout.write(text.endsWith('\n') ? text : `${text}\n`, () => resolve()))

function explain(error: unknown): void {
  const { message, next, cause, code } = asPatchbayError(error)
  log(next === undefined ? message : `${message} ${next}`)
  if (code === 'internal' && cause instanceof Error) log(cause.stack ?? '')
}

function readArguments(): AppArguments {
  try {
    return parseArguments(ownArguments(process.argv, app.isPackaged), process.cwd())
  } catch (error) {
    explain(error)
    app.exit(1)
    return process.exit(1)
  }
}

app.setName('Patchbay')
const args = readArguments()
const unattended = args.headlessReport !== undefined || args.screenshot !== undefined
const paths = appPaths(app.getAppPath(), app.getPath('appData'), args.userDataDir)
app.setPath('userData', paths.userData)

protocol.registerSchemesAsPrivileged([
  { scheme, privileges: { standard: true, secure: true, supportFetchAPI: true } },
])
hardenContents(app)

/** What a second start hands to the running app. */
const handover = z.object({ modelPath: z.string().min(1).max(4096).optional() })

let workbench: Workbench | null = null
let fileToOpen = args.modelPath

/** A model named from outside: by the system (macOS) or by a second start. */
function openFromOutside(modelPath: string | undefined): void {
  if (workbench === null) fileToOpen = modelPath ?? fileToOpen
  else {
    workbench.show()
    if (modelPath !== undefined) workbench.command({ id: 'model.open-path', path: modelPath })
  }
}

async function open(): Promise<Workbench> {
  const dist = path.join(app.getAppPath(), 'dist')
  hardenSession(session.defaultSession)
  protocol.handle(scheme, serveFiles(path.join(dist, 'renderer')))
  const { settings, notice } = await loadSettings(paths.userData)
  const opened = new Workbench({
    arguments: { ...args, modelPath: fileToOpen },
    paths,
    settings: new SettingsStore(paths.userData, settings, log),
    notice,
    unattended,
    dist,
    log,
  })
  opened.open()
  return opened
}

async function runUnattended(opened: Workbench): Promise<void> {
  if (args.headlessReport !== undefined)
    await print(await headlessReport(opened, opened.reports, args.headlessReport))
  if (args.screenshot !== undefined)
    await print((await screenshots(opened, opened.reports, args.screenshot)).join('\n'))
}

let closing = false
async function close(exitCode: number): Promise<void> {
  if (closing) return
  closing = true
  await workbench?.close()
  app.exit(exitCode)
}

if (!app.requestSingleInstanceLock({ modelPath: args.modelPath })) {
  log(
    `Patchbay is running already on ${paths.userData}${unattended ? '' : '; it has been asked to come forward'}.`,
  )
  app.exit(unattended ? 1 : 0)
} else {
  app.on('second-instance', (_event, _argv, _cwd, data) => {
    const parsed = handover.safeParse(data)
    openFromOutside(parsed.success ? parsed.data.modelPath : undefined)
  })
  app.on('open-file', (event, file) => {
    event.preventDefault()
    openFromOutside(file)
  })
  app.on('activate', () => workbench?.show())
  app.on('window-all-closed', () => {
    if (process.platform !== 'darwin') app.quit()
  })
  app.on('before-quit', (event) => {
    if (closing || workbench === null) return
    event.preventDefault()
    void close(0)
  })
  void app
    .whenReady()
    .then(async () => {
      workbench = await open()
      if (!unattended) return
      await runUnattended(workbench)
      await close(0)
    })
    .catch(async (error: unknown) => {
      explain(error)
      if (!unattended) dialog.showErrorBox('Patchbay can not start', asPatchbayError(error).message)
      await close(1)
    })
}
