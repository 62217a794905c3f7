/** ONNX Runtime sessions with the options that Patchbay needs, and its failures as errors of ours. */
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { PatchbayError } from '../../preload/errors'
import type { Provider } from '../../preload/run'
import type { Graph } from '../onnx/graph'
import { serialise } from '../onnx/serialise'
import { giveBack } from './give-back'

export type Feeds = Record<string, OrtTensor>

export interface SessionOptions {
  readonly provider: Provider
  /** Folder of the files that external initialisers lie in. */
  readonly folder?: string
  /**
   * Whether weights are rearranged for speed when the session is made. It costs a second copy of them in memory: for
   * graphs that are run often.
   */
  readonly prepack: boolean
}

/** Names of the providers in onnxruntime-node. */
export const providerNames: Record<Provider, string> = {
  cpu: 'cpu',
  webgpu: 'webgpu',
  cuda: 'cuda',
  directml: 'dml',
  coreml: 'coreml',
}

export class Session {
  readonly #session: InferenceSession
  readonly #name: string

  private constructor(session: InferenceSession, name: string) {
    this.#session = session
    this.#name = name
  }

  /** Compiles a graph. @throws PatchbayError `run.failed`, `memory.exhausted` */
  static create(graph: Graph, options: SessionOptions): Promise<Session> {
    return Session.load(serialise(graph), graph.name, options)
  }

  /** Compiles a model's bytes. @throws PatchbayError `run.failed`, `memory.exhausted` */
  static async load(model: Uint8Array, name: string, options: SessionOptions): Promise<Session> {
    try {
      return new Session(await InferenceSession.create(model, ortOptions(options)), name)
    } catch (cause) {
      throw failure(`The graph ${name} could not be compiled for ${options.provider}`, cause)
    }
  }

  get inputs(): readonly string[] {
    return this.#session.inputNames
  }

  /**
   * Runs the graph. Blocks the thread while it computes, but lets the event loop turn once before.
   * @param outputs names of the wanted outputs
   */
  async run(feeds: Feeds, outputs: readonly string[]): Promise<Record<string, OrtTensor>> {
    try {
      return await this.#session.run(feeds, outputs)
    } catch (cause) {
      throw failure(`Running ${this.#name} failed`, cause)
    }
  }

  /**
   * Runs the graph, its outputs written into tensors that are there, by name, with the shapes that they will have; all of
   * them in the processor's memory.
   */
  async runInto(feeds: Feeds, outputs: Feeds): Promise<void> {
    try {
      const copies = await this.#session.run(feeds, outputs)
      // The runtime returns each output once more in memory of its own: left to the garbage collector, it would be called
      // for them alone, many times a second.
      giveBack(Object.values(copies).map(({ data }) => data))
    } catch (cause) {
      throw failure(`Running ${this.#name} failed`, cause)
    }
  }

  release(): Promise<void> {
    return this.#session.release()
  }
}

function ortOptions({ provider, folder, prepack }: SessionOptions): InferenceSession.SessionOptions {
  return {
    executionProviders: provider === 'cpu' ? ['cpu'] : [providerNames[provider], 'cpu'],
    logSeverityLevel: 3,
    // Each session's own arena would keep what its longest run needed: 30 blocks, 512 tokens: 0.8 GB. The heap is shared
    // between sessions, and measured to be as fast.
    enableCpuMemArena: false,
    enableMemPattern: false,
    extra: {
      session: {
        // Many sessions with a thread pool each: pools that spin for as long as is usual would fight for the cores, and
        // pools that never spin wake up late between operators. 50 µs decode a quarter faster than 0 on two idle cores,
        // and as fast on busy ones.
        intra_op: { allow_spinning: '1', spin_duration_us: '50' },
        inter_op: { allow_spinning: '0' },
        disable_prepacking: prepack ? '0' : '1',
        ...(folder === undefined ? {} : { model_external_initializers_file_folder_path: folder }),
      },
    },
  }
}

/** A failure of a run as an error of ours: what is none already was thrown by ONNX Runtime or for want of memory. */
export function failure(what: string, cause: unknown): PatchbayError {
  if (cause instanceof PatchbayError) return cause
  const reason = (cause instanceof Error ? cause.message : String(cause)).split('\n')[0].slice(0, 500)
  if (
    /bad_alloc|bad allocation|out of memory|failed to allocate|array buffer allocation|invalid typed array length/i.test(
      reason,
    )
  )
    return new PatchbayError('memory.exhausted', `${what}: there is not enough memory.`, {
      next: 'Use a shorter prompt or a smaller batch, or close other models.',
      cause,
    })
  return new PatchbayError('run.failed', `${what}: ${reason}`, {
    next: 'Try the CPU provider; if it fails there too, please report it with the model and the request.',
    cause,
  })
}

/** A float32 tensor for a session. */
export const floats = (data: Float32Array, shape: readonly number[]): OrtTensor =>
  new OrtTensor('float32', data, shape)

/** An int64 tensor for a session. */
export const int64s = (data: readonly number[], shape: readonly number[]): OrtTensor =>
  new OrtTensor('int64', BigInt64Array.from(data, BigInt), shape)

/** The numbers of a float32 tensor that a session gave out. */
export function floatData(tensor: OrtTensor): Float32Array {
  const { data } = tensor
  if (data instanceof Float32Array) return data
  throw new PatchbayError('internal', `A session gave out ${tensor.type} where float32 was expected.`)
}
