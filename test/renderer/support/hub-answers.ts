/** What a hub answers in tests of the window: models one can open, may not open and can not open; strangers' texts. */
import type { CachedModel, DownloadPlan, HubModel } from '../../../preload/hub'

export const hostile = '<img src=x onerror=alert(1)>\u202Egnp'

const model = (repoId: string, part: Partial<HubModel> = {}): HubModel => ({
  repoId,
  downloads: 1_234_567,
  likes: 12,
  updated: '2024-11-05T10:00:00.000Z',
  gated: false,
  private: false,
  licence: 'apache-2.0',
  modelType: 'llama',
  architectures: ['LlamaForCausalLM'],
  formats: ['safetensors'],
  task: 'text-generation',
  support: { canOpen: 'yes', reason: null },
  ...part,
})

export const models: HubModel[] = [
  model('owner/tiny-model'),
  model('owner/tiny-GGUF', {
    formats: ['gguf'],
    support: { canOpen: 'unknown', reason: 'The architecture stands in the GGUF file.' },
  }),
  model('closed/gated', { gated: true, licence: 'llama3.2' }),
  model('other/mamba', {
    licence: hostile,
    modelType: hostile,
    support: {
      canOpen: 'no',
      reason: `The architecture "${hostile}" is not among those that Patchbay knows.`,
    },
  }),
]

const mebibyte = 2 ** 20

/** A plan for one of the models, of which `here` MiB of 100 are in the cache. */
export const planOf = (
  {
    repoId,
    revision = 'main',
    weights = null,
  }: { repoId: string; revision?: string; weights?: string | null },
  here = 0,
): DownloadPlan => {
  const gguf = repoId.endsWith('GGUF')
  const choices = gguf
    ? ['Q8_0', 'Q4_K_M'].map((quantisation) => ({
        weights: `tiny-${quantisation}.gguf`,
        format: 'gguf' as const,
        files: 1,
        bytes: 100 * mebibyte,
        quantisation,
      }))
    : [
        {
          weights: 'model.safetensors',
          format: 'safetensors' as const,
          files: 1,
          bytes: 100 * mebibyte,
          quantisation: null,
        },
      ]
  const chosen = weights ?? choices[0].weights
  const found = models.find((each) => each.repoId === repoId)
  return {
    repoId,
    revision,
    commit: 'ab'.repeat(20),
    choices,
    weights: chosen,
    files: [
      ...(gguf ? [] : [{ name: 'config.json', bytes: 700, hash: 'cd'.repeat(20), cached: here > 0 }]),
      { name: chosen, bytes: 100 * mebibyte, hash: 'ef'.repeat(32), cached: here === 100 },
    ],
    totalBytes: 100 * mebibyte,
    bytesToFetch: (100 - here) * mebibyte,
    licence: { id: found?.licence ?? null, name: null, link: null },
    gated: found?.gated ?? false,
    modelType: found?.modelType ?? 'llama',
    architectures: ['LlamaForCausalLM'],
    support: repoId === 'other/mamba' ? models[3].support : { canOpen: 'yes', reason: null },
  }
}

export const cachedModel = (repoId: string, part: Partial<CachedModel> = {}): CachedModel => ({
  repoId,
  commit: 'ab'.repeat(20),
  refs: ['main'],
  folder: `/cache/${repoId}`,
  path: `/cache/${repoId}`,
  format: 'safetensors',
  bytes: 271 * mebibyte,
  modelType: 'llama',
  architectures: ['LlamaForCausalLM'],
  support: { canOpen: 'yes', reason: null },
  modified: '2025-02-01T08:00:00.000Z',
  ...part,
})
