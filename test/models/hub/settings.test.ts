import dns from 'node:dns'
import { mkdir, writeFile } from 'node:fs/promises'
import net from 'node:net'
import path from 'node:path'
import { inspect } from 'node:util'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Secret } from '../../../main/models/hub/secret'
import {
  cacheFolder,
  cacheFolders,
  isOffline,
  readEndpoint,
  readToken,
} from '../../../main/models/hub/settings'
import { failureOf, useScratch } from '../scratch'
import { FakeHub } from './fake-hub'
import { modelFiles, modelId, useHub } from './use-hub'

const test = useHub()
const scratch = useScratch()
afterEach(() => vi.restoreAllMocks())

describe('the cache folder', () => {
  const home = path.resolve('/home/ada')
  it.each([
    [{}, `${home}/.cache/huggingface/hub`],
    [{ XDG_CACHE_HOME: '/xdg' }, '/xdg/huggingface/hub'],
    [{ HF_HOME: '/hf', XDG_CACHE_HOME: '/xdg' }, '/hf/hub'],
    [{ HF_HOME: '~/hf' }, `${home}/hf/hub`],
    [{ HF_HOME: '$DATA/hf', DATA: '/data' }, '/data/hf/hub'],
    [{ HF_HOME: '${DATA}/hf', DATA: '/data' }, '/data/hf/hub'],
    [{ HUGGINGFACE_HUB_CACHE: '/old', HF_HOME: '/hf' }, '/old'],
    [{ HF_HUB_CACHE: '/new', HUGGINGFACE_HUB_CACHE: '/old' }, '/new'],
  ])('for %j is where huggingface_hub has it', (env, expected) => {
    expect(cacheFolder({ HOME: home, ...env })).toBe(path.resolve(expected))
  })

  it('is looked for in every usual place', () => {
    expect(cacheFolders({ HOME: home, HF_HUB_CACHE: '/new', HF_HOME: '/hf' })).toEqual(
      ['/new', '/hf/hub', `${home}/.cache/huggingface/hub`].map((folder) => path.resolve(folder)),
    )
    expect(cacheFolders({ HOME: home })).toHaveLength(1)
  })
})

describe('the endpoint', () => {
  it.each([
    [undefined, 'https://huggingface.co/'],
    ['', 'https://huggingface.co/'],
    ['https://hub.example/path/', 'https://hub.example/path'],
    ['http://localhost:8080', 'http://localhost:8080/'],
    ['http://127.0.0.9:1', 'http://127.0.0.9:1/'],
    ['http://[::1]:1', 'http://[::1]:1/'],
  ])('may be %j', (given, expected) => {
    expect(readEndpoint({ HF_ENDPOINT: given }).href).toBe(expected)
  })

  it.each([
    'hub.example',
    'http://hub.example',
    'http://10.0.0.1',
    'ftp://x',
    'https://u:hf_pw@x',
    'https://x?y',
    'http://127.0.0.1.evil.example',
  ])('may not be %j', async (given) => {
    const error = await failureOf(() => readEndpoint({ HF_ENDPOINT: given }))
    expect([error.code, error.field]).toEqual(['input.invalid', 'HF_ENDPOINT'])
    expect(error.message).not.toContain('hf_pw')
  })
})

describe('the token', () => {
  const file = async (name: string, content: string): Promise<string> => {
    await mkdir(scratch.folder, { recursive: true })
    await writeFile(path.join(scratch.folder, name), content)
    return path.join(scratch.folder, name)
  }

  it('is taken from HF_TOKEN, else from the file of the login', async () => {
    await file('token', 'hf_file\n')
    const other = await file('other', 'hf_other')
    const bearer = async (env: Record<string, string>) =>
      (await readToken({ HF_HOME: scratch.folder, HOME: scratch.folder, ...env }))?.bearer()
    expect(await bearer({ HF_TOKEN: ' hf_env\n' })).toBe('Bearer hf_env')
    expect(await bearer({ HUGGING_FACE_HUB_TOKEN: 'hf_old' })).toBe('Bearer hf_old')
    expect(await bearer({})).toBe('Bearer hf_file')
    expect(await bearer({ HF_TOKEN: '' })).toBe('Bearer hf_file')
    expect(await bearer({ HF_TOKEN_PATH: other })).toBe('Bearer hf_other')
    expect(await bearer({ HF_HOME: path.join(scratch.folder, 'none') })).toBeUndefined()
    expect(await bearer({ HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' })).toBeUndefined()
  })

  it('shows in no text', () => {
    const secret = new Secret('hf_hidden', 'HF_TOKEN')
    for (const shown of [
      inspect(secret, { showHidden: true, depth: 9 }),
      JSON.stringify({ secret }),
      String(secret),
    ])
      expect(shown).not.toContain('hf_hidden')
  })

  it.each(['a b', 'x\ny', 'ключ', 'x'.repeat(5000)])(
    'is refused where it can be no header, without being said: %j',
    async (value) => {
      const error = await failureOf(() => readToken({ HF_TOKEN: value }))
      expect(error.code).toBe('input.invalid')
      expect(JSON.stringify([error.message, error.next])).not.toContain(value)
    },
  )

  it('in a file that can not be read is an error, not no token', async () => {
    const error = await failureOf(() => readToken({ HF_TOKEN_PATH: scratch.folder }))
    expect(error.code).toBe('file.unreadable')
  })
})

describe('offline', () => {
  it.each(['1', 'true', 'YES', 'on'])('is meant by %j', (value) => {
    expect(isOffline({ HF_HUB_OFFLINE: value })).toBe(true)
    expect(isOffline({ TRANSFORMERS_OFFLINE: value })).toBe(true)
  })
  it.each(['0', 'false', '', undefined])('is not meant by %j', (value) => {
    expect(isOffline({ HF_HUB_OFFLINE: value })).toBe(false)
  })

  it.each([
    ['HF_HUB_OFFLINE', () => test.open({ env: { ...test.env, HF_HUB_OFFLINE: '1' } })],
    ['TRANSFORMERS_OFFLINE', () => test.open({ env: { ...test.env, TRANSFORMERS_OFFLINE: '1' } })],
    ['the setting', () => test.open({ offline: true })],
  ])('by %s opens no socket and resolves no name, whatever is called', async (_, open) => {
    test.server.add(modelId, modelFiles)
    const plan = await test.plan()
    const asked = test.server.requests.length
    const connect = vi.spyOn(net.Socket.prototype, 'connect')
    const lookup = vi.spyOn(dns, 'lookup')
    const hub = open()
    for (const action of [
      () => hub.searchModels({ query: 'x' }),
      () => hub.planDownload({ repoId: modelId }),
      () => hub.download(plan),
    ]) {
      const error = await failureOf(action)
      expect(error.message).toMatch(/offline/)
    }
    expect(await hub.listCached()).toEqual({ models: [], broken: [] })
    expect(connect).not.toHaveBeenCalled()
    expect(lookup).not.toHaveBeenCalled()
    expect(test.server.requests).toHaveLength(asked)
    expect(await test.files()).toEqual([])
    const other = new FakeHub() // the spy would have seen it
    await other.start()
    await test.open({ env: { ...test.env, HF_ENDPOINT: other.url } }).searchModels({ query: 'x' })
    expect(connect).toHaveBeenCalled()
    await other.stop()
  })

  it('still gives what is in the cache', async () => {
    test.server.add(modelId, modelFiles)
    const plan = await test.plan()
    const online = await test.hub.download(plan)
    const hub = test.open({ offline: true })
    expect(await hub.download(plan)).toEqual(online)
    expect((await hub.listCached()).models.map(({ repoId }) => repoId)).toEqual([modelId])
  })
})
