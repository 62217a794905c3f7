/** A model by name through the engine's own calls: found, planned, downloaded from a server that misbehaves, opened. */
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Engine } from '../../main/engine/engine'
import { breaksAfter, FakeHub } from '../models/hub/fake-hub'
import { casesFolder } from '../support/cases'

const repoId = 'owner/tiny-llama'
const original = path.join(casesFolder, 'architectures/llama')
const modelFiles = Object.fromEntries(
  readdirSync(original)
    .filter((name) => /^(config\.json|model\.safetensors)$/.test(name))
    .map((name) => [name, readFileSync(path.join(original, name))]),
)
const assetsDir = path.join(import.meta.dirname, '../../assets')

let server: FakeHub
let folder: string
let engine: Engine
beforeEach(async () => {
  server = new FakeHub()
  await server.start()
  server.add(repoId, modelFiles, { cardData: { license: 'apache-2.0' } })
  server.found = [{ id: repoId, downloads: 12, likes: 3, tags: ['llama', 'safetensors'] }]
  folder = await mkdtemp(path.join(os.tmpdir(), 'patchbay-hub-'))
  for (const name of ['HF_HUB_CACHE', 'HF_HUB_OFFLINE', 'HF_TOKEN', 'HF_TOKEN_PATH'])
    vi.stubEnv(name, undefined)
  vi.stubEnv('HF_ENDPOINT', server.url)
  vi.stubEnv('HF_HOME', folder)
  engine = new Engine({ dataDir: path.join(folder, 'data'), cacheDir: path.join(folder, 'cache'), assetsDir })
})
afterEach(async () => {
  await engine.close()
  await server.stop()
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true, force: true })
})

const stored = (): number =>
  server.downloads().filter(({ path: place }) => place.startsWith('/store/')).length

describe('a model by name', () => {
  it('is found, planned with size and licence before its weights are fetched, whole although the connection broke, and opened', async () => {
    expect(await engine.call('hub.search', { query: 'tiny' })).toMatchObject([{ repoId }])
    const plan = await engine.call('hub.plan', { repoId })
    expect(plan).toMatchObject({ licence: { id: 'apache-2.0' } })
    expect(stored()).toBe(0)

    server.misbehave(/^\/store\//, breaksAfter(server, 20_000))
    const { path: place } = await engine.call('hub.download', plan)
    expect(stored()).toBe(2)
    const location = { kind: 'path' as const, path: place }
    const model = await engine.call('model.open', { location, provider: 'cpu' })
    const known = await engine.call('model.open', {
      location: { kind: 'path', path: original },
      provider: 'cpu',
    })
    expect(model.fingerprint).toBe(known.fingerprint)
    expect((await engine.call('hub.cached', {})).models).toMatchObject([{ repoId }])
  })

  it('is refused where its content is not what was announced, leaving nothing to open, and can be fetched again', async () => {
    const plan = await engine.call('hub.plan', { repoId })
    const forged = Buffer.from(modelFiles['model.safetensors']).fill(7)
    server.misbehave(
      /^\/store\//,
      (_, response) => response.writeHead(200, { 'content-length': forged.length }).end(forged),
      100,
    )
    await expect(engine.call('hub.download', plan)).rejects.toMatchObject({ code: 'hub.untrusted' })
    expect((await engine.call('hub.cached', {})).models).toEqual([])
    server.behave()
    const { path: place } = await engine.call('hub.download', plan)
    expect(readFileSync(path.join(place, 'model.safetensors'))).toEqual(modelFiles['model.safetensors'])
  })
})
