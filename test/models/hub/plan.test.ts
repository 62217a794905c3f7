import { writeFile, mkdir } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { preferredChoice, weightChoices } from '../../../main/models/hub/choose-files'
import { downloadPlan } from '../../../preload/hub'
import { failureOf } from '../scratch'
import { gitHash, sha256, weightBytes } from './fake-hub'
import { config, expectSupport, modelFiles, modelId, useHub, weights } from './use-hub'

const test = useHub()
const names = (plan: { files: { name: string }[] }) => plan.files.map(({ name }) => name).sort()

describe('a plan', () => {
  it('says what would be fetched before a byte of weights is', async () => {
    const { commit } = test.server.add(modelId, modelFiles, {
      cardData: {
        license: 'other',
        license_name: 'tiny-licence',
        license_link: 'https://example.org/licence',
      },
    })
    const plan = await test.plan()
    expect(downloadPlan.parse(plan)).toEqual(plan)
    expect(plan).toEqual({
      repoId: modelId,
      revision: 'main',
      commit,
      choices: [
        { weights: 'model.safetensors', format: 'safetensors', files: 1, bytes: 300_000, quantisation: null },
      ],
      weights: 'model.safetensors',
      files: [
        { name: 'config.json', bytes: config.length, hash: gitHash(Buffer.from(config)), cached: false },
        { name: 'tokenizer.json', bytes: 13, hash: gitHash(Buffer.from('{"model": {}}')), cached: false },
        { name: 'model.safetensors', bytes: 300_000, hash: sha256(weights), cached: false },
      ],
      totalBytes: 300_013 + config.length,
      bytesToFetch: 300_013 + config.length,
      licence: { id: 'other', name: 'tiny-licence', link: 'https://example.org/licence' },
      gated: false,
      modelType: 'llama',
      architectures: ['LlamaForCausalLM'],
      support: { canOpen: 'yes', reason: null },
    })
    expect(test.server.requests.filter(({ path: address }) => address.includes('safetensors'))).toEqual([])
    expect(await test.files()).toEqual([])
  })

  it('takes the licence from the tags where the card has none, and all where there are several', async () => {
    test.server.add('a/tagged', modelFiles, { tags: ['x', 'license:mit'] })
    test.server.add('a/several', modelFiles, { cardData: { license: ['mit', 'apache-2.0'] } })
    test.server.add('a/none', modelFiles)
    const ids = ['a/tagged', 'a/several', 'a/none']
    expect(await Promise.all(ids.map(async (id) => (await test.plan(id)).licence.id))).toEqual([
      'mit',
      'mit, apache-2.0',
      null,
    ])
  })

  it('never contains pickles, code or other frameworks', async () => {
    test.server.add(modelId, {
      ...modelFiles,
      'pytorch_model.bin': weights,
      'model.pt': weights,
      'modeling_evil.py': 'import os',
      'tf_model.h5': weights,
      'onnx/model.onnx': weights,
      'training_args.bin': 'x',
      'generation_config.json': '{}',
      'tokenizer_config.json': '{}',
      'special_tokens_map.json': '{}',
      'chat_template.jinja': '{{ x }}',
      'merges.txt': 'a b',
    })
    expect(names(await test.plan())).toEqual([
      'chat_template.jinja',
      'config.json',
      'generation_config.json',
      'merges.txt',
      'model.safetensors',
      'special_tokens_map.json',
      'tokenizer.json',
      'tokenizer_config.json',
    ])
  })

  it('of a model that is only pickled says so and fetches nothing', async () => {
    test.server.add(modelId, { 'config.json': config, 'pytorch_model.bin': weights })
    const plan = await test.plan()
    expect(plan).toMatchObject({ weights: null, files: [], choices: [] })
    expectSupport(plan.support, 'no', /Pickled ones/)
    expect((await failureOf(() => test.hub.download(plan))).next).toMatch(/Pickled ones/)
  })

  it('of shards takes those that the index names', async () => {
    const index = {
      weight_map: {
        a: 'model-00001-of-00002.safetensors',
        b: 'model-00002-of-00002.safetensors',
        c: 'model-00001-of-00002.safetensors',
      },
    }
    test.server.add(modelId, {
      'config.json': config,
      'model.safetensors.index.json': JSON.stringify(index),
      'model-00001-of-00002.safetensors': weightBytes(20_000, 1),
      'model-00002-of-00002.safetensors': weightBytes(30_000, 2),
      'model-00003-of-00003.safetensors': weightBytes(40_000, 3),
      'consolidated.safetensors': weights,
    })
    const plan = await test.plan()
    expect(plan.weights).toBe('model.safetensors.index.json')
    expect(names(plan)).toEqual([
      'config.json',
      'model-00001-of-00002.safetensors',
      'model-00002-of-00002.safetensors',
      'model.safetensors.index.json',
    ])
    expect(plan.support.canOpen).toBe('yes')
  })

  it('of an index that names an absent shard says which', async () => {
    const index = {
      weight_map: { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' },
    }
    test.server.add(modelId, {
      'config.json': config,
      'model.safetensors.index.json': JSON.stringify(index),
      'model-00001-of-00002.safetensors': weightBytes(20_000, 1),
    })
    expectSupport((await test.plan()).support, 'no', /model-00002-of-00002\.safetensors/)
  })

  it.each([
    ['an unknown architecture', JSON.stringify({ model_type: 't5' }), /"t5" is not among/],
    ['no architecture', '{}', /does not say which architecture/],
    [
      'a hostile one',
      JSON.stringify({ model_type: '\u202e<img src=x>' }),
      /"\\u202e<img src=x>" is not among/,
    ],
  ])('of %s says that it can not be opened', async (_, text, reason) => {
    test.server.add(modelId, { ...modelFiles, 'config.json': text })
    expectSupport((await test.plan()).support, 'no', reason)
  })

  it('without config.json says that it can not be opened', async () => {
    test.server.add(modelId, { 'model.safetensors': weights })
    expect((await test.plan()).support.reason).toMatch(/no config\.json/)
  })

  it('of a gated model whose terms are not accepted still says size and licence', async () => {
    test.server.add(modelId, modelFiles, { gated: 'manual', tags: ['license:llama3'] })
    test.server.misbehave(
      /resolve/,
      (_, response) => void response.writeHead(403, { 'x-error-code': 'GatedRepo' }).end(),
      99,
    )
    const plan = await test.plan()
    expect(plan).toMatchObject({
      gated: true,
      licence: { id: 'llama3' },
      totalBytes: 300_013 + config.length,
    })
    expectSupport(plan.support, 'unknown', /Accept the terms/)
    const error = await failureOf(() => test.hub.download(plan))
    expect([error.code, error.next]).toEqual(['hub.refused', expect.stringMatching(/HF_TOKEN/)])
  })

  it('counts what an earlier attempt left', async () => {
    test.server.add(modelId, modelFiles)
    const blobs = path.join(test.cache, 'models--owner--tiny-model', 'blobs')
    await mkdir(blobs, { recursive: true })
    await writeFile(path.join(blobs, `${sha256(weights)}.70617463.incomplete`), weights.subarray(0, 100_000))
    expect((await test.plan()).bytesToFetch).toBe(200_013 + config.length)
  })

  it.each([
    ['an unknown model', 'owner/nothing', {}, 'hub.refused', /does not know the model owner\/nothing/],
    [
      'unknown weights',
      modelId,
      { weights: 'other.gguf' },
      'hub.missing',
      /no set of weights called other\.gguf/,
    ],
  ])('for %s fails with a sentence', async (_, repoId, more, code, message) => {
    test.server.add(modelId, modelFiles)
    const error = await failureOf(() => test.hub.planDownload({ repoId, ...more }))
    expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)])
  })

  it('for an unknown revision says to check it', async () => {
    test.server.misbehave(
      /^\/api/,
      (_, response) => void response.writeHead(404, { 'x-error-code': 'RevisionNotFound' }).end(),
    )
    const error = await failureOf(() => test.plan())
    expect([error.code, error.next]).toEqual(['hub.missing', 'Check the revision.'])
  })
})

describe('the choice of weights', () => {
  const choices = (...list: [string, number][]) =>
    weightChoices(new Map(list.map(([name, bytes]) => [name, { name, bytes, hash: null }])))

  it('lists each GGUF file with its quantisation, parts as one, and no projectors', () => {
    const found = choices(
      ['m-Q4_K_M.gguf', 4],
      ['m.IQ2_XXS.gguf', 2],
      ['m-f16.gguf', 16],
      ['BF16/m-BF16-00001-of-00002.gguf', 8],
      ['BF16/m-BF16-00002-of-00002.gguf', 8],
      ['broken-Q8_0-00001-of-00002.gguf', 8],
      ['mmproj-model-f16.gguf', 1],
      ['m.imatrix.gguf', 1],
      ['plain.gguf', 5],
    )
    expect(
      found.map(({ weights: first, quantisation, bytes, files }) => [first, quantisation, bytes, files]),
    ).toEqual([
      ['BF16/m-BF16-00001-of-00002.gguf', 'BF16', 16, 2],
      ['m-Q4_K_M.gguf', 'Q4_K_M', 4, 1],
      ['m-f16.gguf', 'F16', 16, 1],
      ['m.IQ2_XXS.gguf', 'IQ2_XXS', 2, 1],
      ['plain.gguf', null, 5, 1],
    ])
  })

  it('prefers safetensors, then Q8_0, then smaller ones', () => {
    const preferred = (...list: [string, number][]) => preferredChoice(choices(...list))?.weights
    expect(preferred(['a-Q8_0.gguf', 8], ['model.safetensors', 16])).toBe('model.safetensors')
    expect(preferred(['a-Q4_K_M.gguf', 4], ['a-Q8_0.gguf', 8], ['a-F16.gguf', 16])).toBe('a-Q8_0.gguf')
    expect(preferred(['a-Q2_K.gguf', 2], ['a-IQ1_S.gguf', 1])).toBe('a-IQ1_S.gguf')
    expect(preferred()).toBeUndefined()
  })

  it('is clear about several safetensors files only where an opened folder would be', () => {
    expect(choices(['a.safetensors', 1], ['b.safetensors', 1])).toEqual([])
    expect(choices(['a.safetensors', 1]).map(({ weights: only }) => only)).toEqual(['a.safetensors'])
    expect(
      choices(['model.safetensors', 1], ['model.safetensors.index.json', 1]).map(({ weights: only }) => only),
    ).toEqual(['model.safetensors'])
  })
})
