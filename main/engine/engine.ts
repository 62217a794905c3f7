/**
 * The engine: open models, the library, presets and recent results, behind the calls of the contract. One object a process;
 * the app runs it in a utility process, the command line and the tests in their own.
 */
import os from 'node:os'
import path from 'node:path'
import { version } from '../../package.json'
import type { CallInput, CallName, CallOutput, EngineStatus } from '../../preload/api'
import type { ModelSource } from '../../preload/model'
import { CertificateStore } from '../analysis/parity/store'
import { DiskCaptures } from '../cache/disk'
import { CaptureMemory } from '../cache/memory'
import { ActivationStore } from '../cache/store/store'
import { KeptReadouts } from '../cache/readouts'
import { SweepStore } from '../cache/sweeps'
import { Collections } from '../collections/collections'
import { openHub, type Hub } from '../models/hub'
import { Library } from '../models/library'
import { onnxruntimeVersion, providerReports } from '../runtime'
import { PresetStore } from '../steering/preset-store'
import { callHandler, Connection, type CallOptions, type EnginePort } from './dispatch'
import type { Handlers } from './handler'
import { keepHeapSmall } from '../runtime/heap'
import { createHandlers } from './handlers'
import { EngineJobs } from './jobs'
import { OpenModels } from './open-models'
import { directionsOf, openWithin } from './extraction'
import { WaveSizes } from './wave-sizes'

export interface EngineOptions {
  /** Presets, library, certificates: kept. */
  dataDir: string
  /** Decoded weights, digests: may be deleted at any time. */
  cacheDir: string
  /** The app's own files: the embedded model and the bundled presets. */
  assetsDir: string
}

/** Memory for recent captures, in bytes: enough for the views of a few prompts, small beside any model. */
const CAPTURE_MEMORY = 256 * 2 ** 20
const STATUS_EVERY_MS = 2000

export class Engine {
  readonly assetsDir: string
  readonly library: Library
  readonly hub: Hub = openHub()
  readonly presets: PresetStore
  readonly certificates: CertificateStore
  readonly models: OpenModels
  readonly waveSizes: WaveSizes
  /** What sweeps have found. */
  readonly sweeps: SweepStore
  readonly jobs: EngineJobs
  /** Activations on disk. */
  readonly activations: DiskCaptures
  /** What was extracted from data sets. */
  readonly collections: Collections
  private readonly readouts: KeptReadouts
  private readonly handlers: Handlers
  private readonly connections = new Set<Connection>()
  private ticker: NodeJS.Timeout | null = null

  constructor(options: EngineOptions) {
    keepHeapSmall()
    this.assetsDir = options.assetsDir
    this.library = new Library(path.join(options.dataDir, 'library.json'))
    this.presets = new PresetStore({
      own: path.join(options.dataDir, 'presets'),
      bundled: path.join(options.assetsDir, 'presets'),
    })
    this.certificates = new CertificateStore(path.join(options.dataDir, 'certificates'), {
      patchbay: version,
      onnxruntime: onnxruntimeVersion,
    })
    const producer = `patchbay ${version}, onnxruntime ${onnxruntimeVersion}`
    this.readouts = new KeptReadouts(path.join(options.cacheDir, 'readouts'), producer)
    this.activations = new DiskCaptures(() =>
      ActivationStore.open(path.join(options.dataDir, 'activations'), {
        producer,
        onDamage: (error) => console.warn(`A stored activation was set aside: ${error.message}`),
      }),
    )
    this.collections = new Collections({
      folder: path.join(options.dataDir, 'collections'),
      store: () => this.activations.store(),
    })
    this.waveSizes = new WaveSizes(options.cacheDir)
    this.sweeps = new SweepStore(path.join(options.cacheDir, 'sweeps'))
    this.models = new OpenModels({
      assetsDir: options.assetsDir,
      cacheDir: options.cacheDir,
      captures: new CaptureMemory(CAPTURE_MEMORY),
      disk: this.activations,
      readouts: this.readouts,
      library: this.library,
      certificates: this.certificates,
    })
    this.jobs = new EngineJobs({
      folder: path.join(options.dataDir, 'jobs'),
      assetsDir: options.assetsDir,
      open: (source, signal) => this.models.open(source, { signal }),
      presets: this.presets,
      extraction: {
        open: (source, memory, signal) => openWithin(this, source, memory, signal),
        collections: this.collections,
        store: () => this.activations.store(),
        presetVectors: (id) => directionsOf(this.presets, id),
      },
    })
    this.handlers = createHandlers(this)
  }

  /** Runs one call of the contract in this process. Errors are PatchbayErrors. */
  call<N extends CallName>(name: N, input: CallInput<N>, options?: CallOptions<N>): Promise<CallOutput<N>> {
    return callHandler(this.handlers, name, input, options)
  }

  /** Serves a client over a port until the port closes. */
  connect(port: EnginePort): void {
    const connection = new Connection(this.handlers, port)
    this.connections.add(connection)
    port.onClose(() => {
      this.connections.delete(connection)
      if (this.connections.size === 0) this.stopTicker()
    })
    connection.sendStatus(this.status())
    this.ticker ??= setInterval(() => this.broadcastStatus(), STATUS_EVERY_MS)
  }

  /** Opens again what was open before the process was restarted; a model that fails is simply not open. */
  reopen(sources: readonly ModelSource[]): void {
    for (const source of sources) this.models.reopen(source)
  }

  /** Goes on with the jobs that an earlier process left; one that fails says so itself. */
  goOnWithJobs(): void {
    this.jobs.goOn().catch((error: unknown) => {
      console.error('The jobs could not be gone on with:', error)
    })
  }

  onOpenModels(listener: (sources: ModelSource[]) => void): void {
    this.models.onChange(() => {
      listener(this.models.sources())
      this.broadcastStatus()
    })
  }

  status(): EngineStatus {
    return {
      pid: process.pid,
      version,
      onnxruntime: onnxruntimeVersion,
      memory: process.memoryUsage.rss(),
      systemMemory: os.totalmem(),
      providers: providerReports(),
      models: this.models.handles(),
    }
  }

  /** Cancels what runs, closes all models and their tokenizers' workers. */
  async close(): Promise<void> {
    this.stopTicker()
    for (const connection of this.connections) connection.cancelAll()
    await this.jobs.close()
    await this.models.closeAll()
    await this.collections.close()
    await this.activations.close()
    await this.readouts.close()
  }

  private broadcastStatus(): void {
    const status = this.status()
    for (const connection of this.connections) connection.sendStatus(status)
  }

  private stopTicker(): void {
    if (this.ticker !== null) clearInterval(this.ticker)
    this.ticker = null
  }
}
