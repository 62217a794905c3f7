/** An engine for tests of the window: answers calls over the contract's own messages, can be held, broken and killed. */
import type { CallArguments, CallName, CallOutput, EngineStatus } from '../../../preload/api'
import { callNames, calls, clientMessage } from '../../../preload/api'
import { PatchbayError, toWire } from '../../../preload/errors'
import type { Transport } from '../../../renderer/transport'
import {
  attentionOf,
  candidates,
  cellOf,
  describeModel,
  encode,
  evidenceFor,
  fingerprint,
  lensOf,
  overviewOf,
} from './fake-model'
import type { FakeSizes } from './fake-model'

type Handlers = { [N in CallName]?: (input: CallArguments<N>) => CallOutput<N> | Promise<CallOutput<N>> }

export const status: EngineStatus = {
  pid: 4242,
  version: '0.1.0',
  onnxruntime: '1.30.0',
  memory: 312 * 2 ** 20,
  systemMemory: 16 * 2 ** 30,
  providers: [
    { provider: 'cpu', available: true, selfTestError: 0, reason: null },
    { provider: 'webgpu', available: false, selfTestError: null, reason: 'No Vulkan adapter was found.' },
  ],
  models: [],
}

export const sizes: FakeSizes = { layers: 4, heads: 4, name: 'storyworld' }

/** What a healthy engine answers. */
export const usual = (of: FakeSizes = sizes): Handlers => ({
  'engine.status': () => status,
  'library.list': () => [
    {
      id: 'embedded',
      name: 'storyworld',
      location: { kind: 'embedded' },
      family: 'Llama',
      format: 'safetensors',
      fingerprint,
      parameterCount: 1_050_000,
      lastOpened: '2026-01-01T00:00:00.000Z',
      present: true,
    },
    {
      id: 'gone',
      name: 'SmolLM2-135M-Instruct',
      location: { kind: 'path', path: '/models/SmolLM2-135M-Instruct.Q4_1.gguf' },
      family: 'Llama',
      format: 'gguf',
      fingerprint: 'ef'.repeat(32),
      parameterCount: 134_500_000,
      lastOpened: '2026-01-02T00:00:00.000Z',
      present: false,
    },
  ],
  'library.forget': () => ({}),
  'certificate.get': () => ({ certificates: [], summary: null, warnings: [] }),
  'model.inspect': () => null,
  'model.forecast': () => null,
  'model.open': () => describeModel(of),
  'model.describe': () => describeModel(of),
  'model.close': () => ({}),
  'prompt.encode': ({ prompt }) => {
    const encoded = encode(prompt)
    if (encoded.tokens.length > 0) return encoded
    throw new PatchbayError('prompt.empty', 'The prompt is empty.', { next: 'Write something.' })
  },
  'lens.map': ({ tokens }) => lensOf(tokens, of),
  'lens.cell': ({ tokens, point, position }) => cellOf(tokens, point, position, of),
  'logits.next': ({ tokens, position, count }) => ({
    evidence: evidenceFor(of.name, tokens),
    position,
    entropy: 1.234,
    top: candidates(of.layers + 2 * position, count),
  }),
  'attention.layer': ({ tokens, layer }) => attentionOf(tokens, layer, of),
  'attention.overview': ({ tokens, side }) => overviewOf(tokens, side, of),
  'preset.list': () => ({ presets: [], broken: [] }),
})

export class FakeEngine {
  /** Every call that arrived, in order. */
  readonly seen: { id: number; call: CallName; input: unknown }[] = []
  readonly cancelled: number[] = []
  handlers: Handlers
  /** Calls of these names are not answered; `release` answers them. */
  readonly held = new Set<CallName>()
  /** Answers cancellations, as a healthy engine does between blocks. */
  obedient = true
  #deliver: ((value: unknown) => void) | null = null
  #closed: (() => void) | null = null

  constructor(handlers: Handlers = usual()) {
    this.handlers = handlers
  }

  transport(): Transport {
    return {
      post: (message) => this.#receive(structuredClone(message)),
      listen: ({ message, closed }) => {
        this.#deliver = message
        this.#closed = closed
      },
      close: () => {
        this.#deliver = null
      },
    }
  }

  /** Sends anything to the client. */
  say(message: unknown): void {
    this.#deliver?.(structuredClone(message))
  }
  /** The process is gone: the port closes. */
  die(): void {
    const closed = this.#closed
    this.#deliver = null
    this.#closed = null
    closed?.()
  }
  names(): CallName[] {
    return this.seen.map(({ call }) => call)
  }
  last(call: CallName): { id: number; input: unknown } {
    const found = this.seen.findLast((entry) => entry.call === call)
    if (found === undefined) throw new Error(`${call} was not called`)
    return found
  }
  /** Answers what was held of this name from now on, and what is open. */
  async release(name: CallName): Promise<void> {
    this.held.delete(name)
    for (const { id, call, input } of this.seen.filter(
      (entry) => entry.call === name && !this.cancelled.includes(entry.id),
    ))
      await this.#answer(id, call, input)
  }

  #receive(raw: unknown): void {
    const message = clientMessage.parse(raw)
    if (message.type === 'cancel') {
      this.cancelled.push(message.id)
      if (this.obedient)
        this.say({
          type: 'failure',
          id: message.id,
          error: toWire(new PatchbayError('run.cancelled', 'Cancelled.')),
        })
      return
    }
    const call = callNames.find((name) => name === message.call)
    if (call === undefined) throw new Error(`unknown call ${message.call}`)
    this.seen.push({ id: message.id, call, input: message.input })
    if (!this.held.has(call)) void this.#answer(message.id, call, message.input)
  }
  async #answer<N extends CallName>(id: number, call: N, raw: unknown): Promise<void> {
    try {
      const handler = this.handlers[call]
      if (handler === undefined) throw new PatchbayError('internal', `The fake engine has no ${call}.`)
      const output = await handler(calls[call].input.parse(raw) as CallArguments<N>)
      this.say({ type: 'result', id, output })
    } catch (thrown) {
      const error = thrown instanceof PatchbayError ? thrown : new PatchbayError('internal', String(thrown))
      this.say({ type: 'failure', id, error: toWire(error) })
    }
  }
}
