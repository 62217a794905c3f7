/** Sweeps that were stopped, and sweeps that are asked for again: nothing is computed twice, and nothing wrong is believed. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Engine } from '../../main/engine/engine'
import type { CallInput, CallProgress } from '../../preload/api'

let folder: string
let engine: Engine
const assetsDir = path.join(import.meta.dirname, '../../assets')
const sweepsIn = (): string => path.join(folder, 'cache', 'sweeps')

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'patchbay-kept-'))
  engine = new Engine({ dataDir: path.join(folder, 'data'), cacheDir: path.join(folder, 'cache'), assetsDir })
})
afterAll(async () => {
  await engine.close()
  await rm(folder, { recursive: true, force: true })
})

async function question(words: string): Promise<CallInput<'sweep.run'>> {
  const { handle: model } = await engine.call('model.open', {
    location: { kind: 'embedded' },
    provider: 'cpu',
  })
  const { tokens } = await engine.call('prompt.encode', { model, prompt: { kind: 'text', text: words } })
  const clean = tokens.map(({ id }) => id)
  return {
    model,
    pairs: [{ clean, corrupt: clean.with(1, clean[2]) }],
    target: { kind: 'grid', component: 'mlp_out' },
    metrics: [{ kind: 'kl' }],
  }
}
const sitesIn = (progress: readonly CallProgress<'sweep.run'>[]): number[] =>
  progress.flatMap((value) => (value.kind === 'values' ? [...value.sites] : []))

describe('a sweep', () => {
  it('that was stopped goes on where it was, without being told what was found', async () => {
    const input = await question('One day Emma went to the park. The sun was warm.')
    const stop = new AbortController()
    const before: CallProgress<'sweep.run'>[] = []
    await expect(
      engine.call('sweep.run', input, {
        signal: stop.signal,
        onProgress: (value) => {
          before.push(value)
          if (value.kind === 'values') stop.abort()
        },
      }),
    ).rejects.toMatchObject({ code: 'run.cancelled' })
    const found = sitesIn(before)
    const after: CallProgress<'sweep.run'>[] = []
    const result = await engine.call('sweep.run', input, { onProgress: (value) => after.push(value) })
    const total = result.raw.data.length
    expect(found.length).toBeGreaterThan(0)
    expect(found.length).toBeLessThan(total)
    expect(result.computed + result.unchanged).toBe(total - found.length)
    expect(sitesIn(after).sort((a, b) => a - b)).toEqual(Array.from({ length: total }, (_, i) => i))
  })

  it('that is asked for again runs nothing and gives the same bytes', async () => {
    const input = await question('The capital of France is Paris.')
    const first = await engine.call('sweep.run', input)
    const again = await engine.call('sweep.run', input)
    expect(again).toMatchObject({ computed: 0, unchanged: 0 })
    expect(again.raw).toEqual(first.raw)
  })

  it('of another question has nothing from this one', async () => {
    const input = await question('The capital of France is Paris.')
    const noising = await engine.call('sweep.run', { ...input, direction: 'noising' })
    expect(noising.computed).toBeGreaterThan(0)
  })

  it('whose file was damaged is computed again, with the right values', async () => {
    const input = await question('nine minus two is seven.')
    const first = await engine.call('sweep.run', input)
    for (const name of await readdir(sweepsIn())) {
      const file = path.join(sweepsIn(), name)
      const bytes = await readFile(file)
      bytes[bytes.length - 2] ^= 0x10
      await writeFile(file, bytes)
    }
    const again = await engine.call('sweep.run', input)
    expect(again.computed).toBe(first.computed)
    expect(again.raw).toEqual(first.raw)
    await writeFile(path.join(sweepsIn(), (await readdir(sweepsIn()))[0]), 'nothing of ours')
    expect((await engine.call('sweep.run', input)).raw).toEqual(first.raw)
  })
})
