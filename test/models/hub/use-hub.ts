/** What the tests of the hub share: a fake hub, a cache folder of their own, and a clock that does not wait. */
import { readFile, readdir } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, beforeEach, expect } from 'vitest'
import { openHub, type Hub, type HubOptions } from '../../../main/models/hub'
import { cancelled } from '../../../main/models/hub/failures'
import type { Clock, Limits } from '../../../main/models/hub/net/connection'
import type { DownloadPlan, Support } from '../../../preload/hub'
import { useScratch } from '../scratch'
import { FakeHub, weightBytes } from './fake-hub'

export const config = JSON.stringify({ model_type: 'llama', architectures: ['LlamaForCausalLM'] })
export const weights = weightBytes(300_000)
export const modelId = 'owner/tiny-model'
export const modelFiles = {
  'config.json': config,
  'tokenizer.json': '{"model": {}}',
  'model.safetensors': weights,
  'README.md': '# Tiny',
}

/** Short enough for a test, long enough for a busy machine. */
export const quickLimits: Partial<Limits> = { progressBytes: 1 << 16 }

export interface HubTest {
  server: FakeHub
  hub: Hub
  /** The cache folder. */
  cache: string
  /** Milliseconds that were slept. */
  pauses: number[]
  env: Record<string, string | undefined>
  /** Another hub object over the same environment. */
  open(options?: HubOptions): Hub
  plan(id?: string): Promise<DownloadPlan>
  /** Names of everything below the cache, sorted; folders end with a slash. */
  files(): Promise<string[]>
}

export function useHub(limits: Partial<Limits> = {}): HubTest {
  const scratch = useScratch()
  const clock: Clock = {
    now: () => performance.now(),
    random: () => 0.5,
    async sleep(ms, signal) {
      test.pauses.push(ms)
      await new Promise((resolve) => setImmediate(resolve))
      if (signal?.aborted === true) throw cancelled('Waiting')
    },
  }
  const test: HubTest = {
    server: new FakeHub(),
    hub: openHub(),
    cache: '',
    pauses: [],
    env: {},
    open: (options) => openHub({ env: test.env, clock, limits: { ...quickLimits, ...limits }, ...options }),
    plan: (id = modelId) => test.hub.planDownload({ repoId: id }),
    files: () => allBelow(test.cache),
  }
  beforeEach(async () => {
    test.server = new FakeHub()
    await test.server.start()
    test.cache = path.join(scratch.folder, 'hub')
    test.env = {
      HF_ENDPOINT: test.server.url,
      HF_HOME: scratch.folder,
      HOME: path.join(scratch.folder, 'home'),
    }
    test.pauses = []
    test.hub = test.open()
  })
  afterEach(() => test.server.stop())
  return test
}

async function allBelow(folder: string, before = ''): Promise<string[]> {
  const found: string[] = []
  const entries = await readdir(path.join(folder, before), { withFileTypes: true }).catch(() => [])
  for (const entry of entries) {
    const name = `${before}${entry.name}`
    if (entry.isDirectory()) found.push(`${name}/`, ...(await allBelow(folder, `${name}/`)))
    else found.push(name)
  }
  return found.sort()
}

/** What is said of a model that can't be opened, or may not be. */
export function expectSupport(support: Support, canOpen: string, reason: RegExp): void {
  expect(support.canOpen).toBe(canOpen)
  expect(support.reason).toMatch(reason)
}

/** The content of a file of a snapshot. */
export const contentOf = (folder: string, name: string): Promise<Buffer> => readFile(path.join(folder, name))

export const incomplete = (names: readonly string[]): string[] =>
  names.filter((name) => /\.(incomplete|lock|link|partial)$/.test(name))
