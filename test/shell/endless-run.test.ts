/** A model that never ends a run, in a real process: no cancel reaches it, so the supervisor has to end the process. */
import { fork, type ChildProcess } from 'node:child_process'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Supervisor, type EngineProcess } from '../../main/shell/supervisor'
import { floatTensor, modelBytes, node, value } from '../support/onnx-model'
import { useScratch } from '../models/scratch'
import { FakeClock } from './fake-engine'

const scratch = useScratch()
const children: ChildProcess[] = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

/** x + 1 + 1 + …, as long as a condition holds that nothing changes. */
const endless = (): Uint8Array =>
  modelBytes({
    node: [
      node('Loop', ['', 'yes', 'x'], ['y'], {
        body: {
          graph: {
            name: 'body',
            node: [node('Identity', ['go'], ['still']), node('Add', ['v', 'one'], ['more'])],
            input: [value('i', [], 7), value('go', [], 9), value('v', [1])],
            output: [value('still', [], 9), value('more', [1])],
          },
        },
      }),
    ],
    initializer: [
      floatTensor('one', [1], [1]),
      { name: 'yes', dims: [], dataType: 9, rawData: Uint8Array.of(1) },
    ],
    input: [value('x', [1])],
    output: [value('y', [1])],
  })

function start(model: string) {
  const clock = new FakeClock()
  const messages: string[] = []
  const supervisor = new Supervisor<never>({
    fork: (): EngineProcess<never> => {
      const child = fork(path.join(import.meta.dirname, 'endless-engine.mjs'), [model])
      children.push(child)
      child.on('message', (message: { type: string }) => messages.push(message.type))
      return {
        // A process that was killed a moment ago takes no message; that is no failure.
        post: (message) => void child.send(message, () => undefined),
        kill: () => void child.kill('SIGKILL'),
        onMessage: (listener) => void child.on('message', listener),
        onStderr: () => undefined,
        onExit: (listener) => void child.once('exit', (code) => listener(code ?? 9)),
      }
    },
    clock,
    dataDir: scratch.folder,
    cacheDir: scratch.folder,
    assetsDir: scratch.folder,
    hangLimitMs: 20_000,
    log: () => undefined,
  })
  supervisor.start()
  return { supervisor, clock, messages }
}

const until = (condition: () => void): Promise<void> =>
  vi.waitFor(condition, { timeout: 20_000, interval: 10 })

describe('a run that never ends', () => {
  it(
    'silences its process, which is killed and replaced by one that answers',
    { timeout: 60_000 },
    async () => {
      const model = await scratch.write('model.onnx', endless())
      const { supervisor, clock, messages } = start(model)
      await until(() => expect(supervisor.state.status).toBe('ready'))
      const pongs = () => messages.filter((type) => type === 'pong').length
      const beats = async (count: number) => {
        for (let beat = 0; beat < count; beat++) {
          const before = pongs()
          clock.pass(5_000)
          await until(() => expect(pongs()).toBe(before + 1))
        }
      }
      await beats(6)
      expect(supervisor.state.generation).toBe(1)

      children[0].send({ type: 'run' })
      await until(() => expect(messages).toContain('running'))
      const before = pongs()
      // An engine that is not busy would answer within these pauses, and live.
      for (let beat = 0; beat < 6 && supervisor.state.generation === 1; beat++) {
        clock.pass(5_000)
        await setTimeout(100)
      }
      await until(() => expect(supervisor.state).toMatchObject({ status: 'ready', generation: 2 }))
      expect(supervisor.state.reason).toMatch(/no sign of life for 20 seconds/)
      expect(children[0].signalCode).toBe('SIGKILL')
      expect(messages).not.toContain('ended')
      expect(pongs() - before).toBeLessThanOrEqual(1)
      await beats(1)
      await supervisor.shutdown()
      expect(supervisor.state.status).toBe('stopped')
    },
  )
})
