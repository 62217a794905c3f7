/** What was looked at before and kept is shown again, by another process too, without running a session. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { Engine } from '../../main/engine/engine'
import { Session } from '../../main/runtime/session'

let folder: string
const assetsDir = path.join(import.meta.dirname, '../../assets')

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'patchbay-from-cache-'))
})
afterEach(() => vi.restoreAllMocks())
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

/** A new engine on the same folders answers; how often it ran a session while it did. */
async function answered<T>(ask: (engine: Engine, model: string) => Promise<T>): Promise<[T, number]> {
  const engine = new Engine({
    dataDir: path.join(folder, 'data'),
    cacheDir: path.join(folder, 'cache'),
    assetsDir,
  })
  try {
    engine.activations.keep = { set: 'looked-at' }
    const source = { location: { kind: 'embedded' as const }, provider: 'cpu' as const }
    const { handle } = await engine.call('model.open', source)
    const run = vi.spyOn(Session.prototype, 'run')
    const answer = await ask(engine, handle)
    return [answer, run.mock.calls.length]
  } finally {
    await engine.close()
    vi.restoreAllMocks()
  }
}

async function tokensOf(engine: Engine, model: string, text: string): Promise<number[]> {
  const { tokens } = await engine.call('prompt.encode', { model, prompt: { kind: 'text', text } })
  return tokens.map(({ id }) => id)
}
const mary = 'When Mary and John went to the store, John gave a drink to'
const anna = 'When Anna and John went to the store, John gave a drink to'

const lens = async (engine: Engine, model: string) => {
  const tokens = await tokensOf(engine, model, mary)
  const map = await engine.call('lens.map', { model, tokens })
  const cell = await engine.call('lens.cell', { model, tokens, point: 2, position: 5, count: 5 })
  return { map, cell, next: await engine.call('logits.next', { model, tokens, position: 13, count: 10 }) }
}
const comparison = async (engine: Engine, model: string) =>
  engine.call('compare.prompts', {
    model,
    left: await tokensOf(engine, model, mary),
    right: await tokensOf(engine, model, anna),
  })
const sweep = async (engine: Engine, model: string) => {
  const result = await engine.call('sweep.run', {
    model,
    pairs: [{ clean: await tokensOf(engine, model, mary), corrupt: await tokensOf(engine, model, anna) }],
    target: { kind: 'grid', component: 'z', by: ['head'] },
    metrics: [{ kind: 'kl' }],
  })
  const { raw, normalised, plan, evidence, direction } = result
  return { raw, normalised, plan, evidence, direction }
}

describe('from what was kept, by a new process', () => {
  for (const [name, ask] of [
    ['a lens', lens],
    ['a comparison', comparison],
    ['a sweep', sweep],
  ] as const)
    it(`${name} gives identical bytes and runs no session`, async () => {
      const [first, runs] = await answered<unknown>(ask)
      expect(runs).toBeGreaterThan(0)
      const [again, more] = await answered<unknown>(ask)
      expect(more).toBe(0)
      expect(again).toEqual(first)
    })

  it('a damaged readout is computed again', async () => {
    const [first] = await answered(lens)
    const readouts = path.join(folder, 'cache', 'readouts')
    for (const name of await readdir(readouts)) {
      const bytes = await readFile(path.join(readouts, name))
      bytes[bytes.length - 1] ^= 1
      await writeFile(path.join(readouts, name), bytes)
    }
    const [again, runs] = await answered(lens)
    expect(runs).toBeGreaterThan(0)
    expect(again).toEqual(first)
  })
})
