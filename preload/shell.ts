/**
 * What crosses between the window, the shell (Electron's main process) and the engine process, apart from the engine's own
 * calls (api.ts): the bridge `window.patchbay`, the events behind it, and the supervisor's messages. Both ends of every
 * message validate with these schemas.
 */
import { z } from 'zod'
import { asPatchbayError, errorCodes, PatchbayError, wireError, type WireError } from './errors'
import { modelSource } from './model'

export const viewNames = [
  'prompt',
  'layers',
  'compare',
  'patch',
  'attribution',
  'train',
  'data',
  'steer',
] as const
export type ViewName = (typeof viewNames)[number]

export const themeNames = ['system', 'light', 'dark'] as const
export type ThemeName = (typeof themeNames)[number]

/** Where the window is served from. Nothing else may talk to the shell. */
export const appOrigin = 'app://patchbay'

const filePath = z.string().min(1).max(4096)
const nothing = z.object({}).strict()
const done = z.null()

/** As Electron's dialogs take them: a name for people, extensions without the dot. */
export const fileFilter = z.object({
  name: z.string().min(1).max(100),
  extensions: z
    .array(z.string().regex(/^(\*|[A-Za-z0-9]{1,20})$/))
    .min(1)
    .max(20),
})
export type FileFilter = z.infer<typeof fileFilter>

const byteArray = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'not bytes')

/** Largest file that crosses the bridge, in bytes. */
export const maxFileBytes = 2 ** 30
/** Of what is written beside a file: provenance with its request. */
export const maxBesideBytes = 16 * 2 ** 20

// ---- engine process ----

export const engineStatuses = ['starting', 'ready', 'restarting', 'stopped'] as const

export const engineState = z.object({
  /** `stopped` lasts until the person asks for a restart; in all but `ready` pending calls are lost. */
  status: z.enum(engineStatuses),
  /** Counts engine processes: a port belongs to the generation it came with. */
  generation: z.number().int().nonnegative(),
  /** Why the last process ended, in a sentence; null while none has. */
  reason: z.string().nullable(),
  /** The last lines the ended process wrote to stderr, for a report. */
  stderr: z.string().nullable(),
})
export type EngineState = z.infer<typeof engineState>

/** Shell → engine, over the utility process's parent port. `connect` carries one MessagePort to a window. */
export const toEngineMessage = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('init'),
    /** Presets, library, results: kept. */
    dataDir: filePath,
    /** May be deleted at any time. */
    cacheDir: filePath,
    /** Real files (never inside an archive): ONNX Runtime maps weights from here. */
    assetsDir: filePath,
    /** Models that the process before this one had open. */
    openModels: z.array(modelSource),
  }),
  z.object({ type: z.literal('connect') }),
  z.object({ type: z.literal('ping'), id: z.number().int().nonnegative() }),
  z.object({ type: z.literal('shutdown') }),
])
export type ToEngineMessage = z.infer<typeof toEngineMessage>

/** Engine → shell. */
export const fromEngineMessage = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready') }),
  z.object({ type: z.literal('pong'), id: z.number().int().nonnegative() }),
  z.object({ type: z.literal('open-models'), models: z.array(modelSource).max(64) }),
])
export type FromEngineMessage = z.infer<typeof fromEngineMessage>

/** What the page receives by `window.postMessage`, with the engine's port in `event.ports[0]`. */
export const enginePortMessage = z.object({
  type: z.literal('patchbay:engine-port'),
  generation: z.number().int().nonnegative(),
})
export type EnginePortMessage = z.infer<typeof enginePortMessage>

// ---- events: shell → window ----

/** What the menu, the command line, the system or a screenshot run asks of the window. */
export const shellCommand = z.discriminatedUnion('id', [
  z.object({ id: z.literal('model.open-file') }),
  z.object({ id: z.literal('model.open-folder') }),
  z.object({ id: z.literal('model.download') }),
  z.object({ id: z.literal('model.open-path'), path: filePath }),
  z.object({ id: z.literal('export.save') }),
  z.object({ id: z.literal('view.show'), view: z.enum(viewNames) }),
  z.object({ id: z.literal('theme.set'), theme: z.enum(themeNames) }),
  z.object({ id: z.literal('help.about') }),
])
export type ShellCommand = z.infer<typeof shellCommand>

export const shellEvents = {
  'engine.state': engineState,
  command: shellCommand,
} as const
export type ShellEventName = keyof typeof shellEvents

/** The event that carries the engine's port; not one of `shellEvents` because the port travels beside the message. */
export const enginePortChannel = 'patchbay:event:engine.port'
export const eventChannel = (name: ShellEventName): string => `patchbay:event:${name}`

// ---- calls: window → shell ----

/**
 * What a path is chosen for; the dialog has a title and filters by that. A model's file or folder, a reference to compare one
 * with, a data set's file or folder, a file of directions, a SAELens dictionary, the folder that an export is written into.
 */
export const pathKinds = [
  'model-file',
  'model-folder',
  'reference-folder',
  'data-file',
  'data-folder',
  'tensor-file',
  'dictionary-folder',
  'export-folder',
] as const
export type PathKind = (typeof pathKinds)[number]

export const shellCalls = {
  'path.choose': { input: z.object({ kind: z.enum(pathKinds) }), output: filePath.nullable() },
  'file.save': {
    input: z.object({
      suggestedName: z.string().max(1000),
      bytes: byteArray.refine((bytes) => bytes.length <= maxFileBytes, 'larger than 1 GiB'),
      filters: z.array(fileFilter).max(20),
      beside: byteArray.refine((bytes) => bytes.length <= maxBesideBytes, 'larger than 16 MiB').optional(),
    }),
    output: z.object({ path: filePath }).nullable(),
  },
  'file.open': {
    input: z.object({
      filters: z.array(fileFilter).max(20),
      maxBytes: z.number().int().positive().max(maxFileBytes),
    }),
    output: z.object({ name: z.string(), bytes: byteArray }).nullable(),
  },
  'engine.state': { input: nothing, output: engineState },
  'engine.port': { input: nothing, output: done },
  'engine.restart': { input: nothing, output: done },
  'engine.hardCancel': { input: nothing, output: done },
  'report.firstLens': { input: z.object({ text: z.string().max(1_000_000) }), output: done },
  'report.viewSettled': {
    input: z.object({ view: z.enum(viewNames), theme: z.enum(['light', 'dark']) }),
    output: done,
  },
  'theme.set': { input: z.object({ theme: z.enum(themeNames) }), output: done },
  'clipboard.write': { input: z.object({ text: z.string().max(16 * 2 ** 20) }), output: done },
} as const satisfies Record<string, { input: z.ZodType; output: z.ZodType }>
export type ShellCalls = typeof shellCalls
export type ShellCallName = keyof ShellCalls
export type ShellCallInput<N extends ShellCallName> = z.output<ShellCalls[N]['input']>
export type ShellCallOutput<N extends ShellCallName> = z.output<ShellCalls[N]['output']>

export const shellCallNames = Object.keys(shellCalls) as ShellCallName[]
export const callChannel = (name: ShellCallName): string => `patchbay:call:${name}`

/** How a call's outcome crosses: Electron would reduce a thrown error to its message. */
export const shellResult = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(true), value: z.unknown() }),
  z.object({ ok: z.literal(false), error: wireError }),
])
export type ShellResult = z.infer<typeof shellResult>

/** How the app was started; handed to the preload as a command-line argument, so the page knows it at once. */
export const launchInfo = z.object({
  /** A model named on the command line. */
  modelPath: filePath.optional(),
  /** The window is only there to be reported or photographed: no first-run hints, no animation. */
  headlessReport: z.boolean(),
  /** Patchbay's and Electron's. */
  version: z.string(),
  electron: z.string(),
  theme: z.enum(themeNames),
  /** Something the person should know about the start (settings that could not be read). */
  notice: z.string().optional(),
})
export type LaunchInfo = z.infer<typeof launchInfo>
export const launchArgument = '--patchbay-launch='

/**
 * `window.patchbay`. Promises reject with an Error; `shellError` turns it back into the PatchbayError that the shell raised.
 * The `on…` functions return a function that ends the subscription.
 */
export interface ShellBridge {
  /** Asks for a path by what it is for; null when the person closes the dialog. */
  choosePath(kind: PathKind): Promise<string | null>
  /**
   * Asks where to save, then writes the file whole or not at all; what goes `beside` it into a file of the same name with
   * `.provenance.json` behind it.
   * @throws `disk.full`, `disk.failed`, `file.unreadable`
   */
  saveFile(file: {
    suggestedName: string
    bytes: Uint8Array
    filters: FileFilter[]
    beside?: Uint8Array
  }): Promise<{ path: string } | null>
  /**
   * Asks for a file and reads it.
   * @throws `input.invalid` when it is larger than `maxBytes`, `file.unreadable`
   */
  openFile(options: {
    filters: FileFilter[]
    maxBytes: number
  }): Promise<{ name: string; bytes: Uint8Array } | null>
  /** Where a dropped file or folder lies; '' for one that is not on disk. */
  pathForFile(file: File): string
  engineState(): Promise<EngineState>
  onEngineState(listener: (state: EngineState) => void): () => void
  /**
   * Asks once for ports: one comes now or when the engine is ready, and another after every restart, as an
   * `enginePortMessage` posted to the page.
   */
  requestEnginePort(): Promise<void>
  /** Starts the engine again, with a fresh restart budget. */
  restartEngine(): Promise<void>
  /** A run that does not answer a soft cancel: the engine is killed and restarted once it has been silent for 30 seconds. */
  hardCancel(): Promise<void>
  onCommand(listener: (command: ShellCommand) => void): () => void
  launch(): LaunchInfo
  /** To be called when the first lens is on screen, with the same as plain text. */
  reportFirstLens(text: string): Promise<void>
  /** To be called whenever a view stands still after `view.show` or `theme.set`: data loaded, charts drawn. */
  reportViewSettled(view: ViewName, theme: 'light' | 'dark'): Promise<void>
  setTheme(theme: ThemeName): Promise<void>
  writeClipboard(text: string): Promise<void>
}

/** A wire error as the message of an Error, the only part of one that Electron's context bridge lets through. */
export function errorMessage(error: WireError): string {
  const sentence = error.message.replace(/\s*\n\s*/g, ' ')
  return `${error.code}: ${sentence}${error.next === undefined ? '' : `\n${error.next}`}`
}

/** The PatchbayError behind a rejection of a `ShellBridge` promise. */
export function shellError(thrown: unknown): PatchbayError {
  const parts = thrown instanceof Error ? /^([a-z.-]+): ([^\n]*)(?:\n([\s\S]*))?$/.exec(thrown.message) : null
  const code = errorCodes.find((known) => known === parts?.[1])
  if (parts === null || code === undefined) return asPatchbayError(thrown)
  return new PatchbayError(code, parts[2] ?? '', { next: parts[3], cause: thrown })
}
