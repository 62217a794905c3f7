import { describe, expect, it } from 'vitest'
import { hubModel } from '../../../preload/hub'
import { failureOf } from '../scratch'
import { expectSupport, useHub } from './use-hub'

const test = useHub()

const entry = (change: Record<string, unknown> = {}) => ({
  id: 'owner/model',
  downloads: 12,
  likes: 3,
  lastModified: '2025-01-02T03:04:05.000Z',
  gated: false,
  private: false,
  pipeline_tag: 'text-generation',
  tags: ['safetensors', 'license:apache-2.0'],
  config: {
    model_type: 'llama',
    architectures: ['LlamaForCausalLM'],
    tokenizer_config: { chat_template: 'x' },
  },
  ...change,
})

describe('a search', () => {
  it('asks the hub for names, in its order', async () => {
    await test.hub.searchModels({ query: 'smol & co', limit: 5, sort: 'updated', format: 'gguf' })
    const url = new URL(test.server.requests[0].path, test.server.url)
    expect(url.pathname).toBe('/api/models')
    expect(Object.fromEntries(url.searchParams)).toEqual({
      search: 'smol & co',
      sort: 'lastModified',
      direction: '-1',
      limit: '5',
      full: 'true',
      config: 'true',
      filter: 'gguf',
    })
  })

  it('says of each model what it is and whether it can be opened', async () => {
    test.server.found = [entry()]
    const [model] = await test.hub.searchModels({ query: 'x' })
    expect(hubModel.parse(model)).toEqual(model)
    expect(model).toEqual({
      repoId: 'owner/model',
      downloads: 12,
      likes: 3,
      updated: '2025-01-02T03:04:05.000Z',
      gated: false,
      private: false,
      licence: 'apache-2.0',
      modelType: 'llama',
      architectures: ['LlamaForCausalLM'],
      formats: ['safetensors'],
      task: 'text-generation',
      support: { canOpen: 'yes', reason: null },
    })
  })

  it.each([
    ['an unknown architecture', { config: { model_type: 'nonesuch' } }, 'no', /"nonesuch" is not among/],
    ['pickles only', { tags: [] }, 'no', /Pickled ones/],
    ['GGUF only', { tags: ['gguf'], config: null }, 'unknown', /not here yet/],
    ['nothing said', { config: undefined }, 'unknown', /does not say/],
    [
      'quantised weights',
      { config: { model_type: 'llama', quantization_config: { quant_method: 'gptq' } } },
      'no',
      /quantised \("gptq"\)/,
    ],
  ])('judges a model with %s', async (_, change, canOpen, reason) => {
    test.server.found = [entry(change)]
    const [{ support }] = await test.hub.searchModels({ query: 'x' })
    expectSupport(support, canOpen, reason)
  })

  it('takes gated: "auto" and "manual" for what they are', async () => {
    test.server.found = ['auto', 'manual', true, false, null].map((gated) => entry({ gated }))
    const models = await test.hub.searchModels({ query: 'x' })
    expect(models.map(({ gated }) => gated)).toEqual([true, true, true, false, false])
  })

  it('leaves out entries that are none, and takes odd fields for unsaid', async () => {
    test.server.found = [
      null,
      7,
      entry({ id: '../../etc' }),
      entry({ id: 'owner/<img src=x>' }),
      entry({ downloads: 'many', lastModified: 'yesterday', tags: 'x', pipeline_tag: ['a'], config: 'none' }),
    ]
    const models = await test.hub.searchModels({ query: 'x' })
    expect(models).toHaveLength(1)
    expect(models[0]).toMatchObject({
      downloads: 0,
      updated: null,
      licence: null,
      formats: [],
      task: null,
      modelType: null,
    })
  })

  it('gives no more than was asked for', async () => {
    test.server.found = Array.from({ length: 50 }, (_, i) => entry({ id: `owner/m${i}` }))
    expect(await test.hub.searchModels({ query: 'x', limit: 3 })).toHaveLength(3)
  })

  it.each([
    { query: 'x'.repeat(201) },
    { query: 'x', limit: 0 },
    { query: 'x', limit: 101 },
    { query: 'x', sort: 'size' },
  ])('refuses what does not fit: %j', async (search) => {
    const error = await failureOf(() => test.hub.searchModels(search as { query: string }))
    expect(error.code).toBe('input.invalid')
    expect(test.server.requests).toEqual([])
  })
})
