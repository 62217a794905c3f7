/** Servers and repositories that mean harm: redirects, names, sizes, JSON. */
import { describe, expect, it } from 'vitest'
import { redirectTarget } from '../../../main/models/hub/net/redirect'
import { failureOf } from '../scratch'
import { gitHash, sendJson, sha256, type Handler } from './fake-hub'
import { config, contentOf, modelFiles, modelId, useHub, weights } from './use-hub'

const test = useHub({ largestJson: 100_000 })
const secret = 'hf_TopSecretToken'

const redirectTo = (location: string): Handler => {
  return (_, response) => void response.writeHead(302, { location }).end()
}

describe('a redirect', () => {
  it('to another host is followed without the token', async () => {
    test.env['HF_TOKEN'] = secret
    test.server.add(modelId, modelFiles)
    await test.hub.download(await test.plan())
    const sent = test.server.requests.map(({ host, headers }) => [host, headers.authorization])
    expect(sent.filter(([host]) => host === 'store').length).toBeGreaterThan(0)
    for (const [host, authorization] of sent)
      expect(authorization).toBe(host === 'hub' ? `Bearer ${secret}` : undefined)
  })

  it('to another host and back gives the token to the hub alone', async () => {
    test.env['HF_TOKEN'] = secret
    test.server.add(modelId, modelFiles)
    test.server.misbehave(/^\/api/, redirectTo(`${test.server.storeUrl}/there`))
    test.server.misbehave(/^\/there/, redirectTo(`${test.server.url}/api/models/${modelId}/revision/main`))
    await test.plan()
    expect(
      test.server.requests.slice(0, 3).map(({ host, headers }) => [host, headers.authorization]),
    ).toEqual([
      ['hub', `Bearer ${secret}`],
      ['store', undefined],
      ['hub', `Bearer ${secret}`],
    ])
  })

  it.each([
    ['plain http elsewhere', 'http://example.invalid/file'],
    ['a file', 'file:///etc/passwd'],
    ['data', 'data:application/json,{}'],
    ['an address with a password', 'https://user:pass@example.invalid/'],
    ['nowhere', 'http://'],
  ])('to %s is not followed', async (_, location) => {
    test.server.misbehave(/^\/api/, redirectTo(location))
    const error = await failureOf(() => test.plan())
    expect([error.code, error.message]).toEqual(['hub.untrusted', expect.stringMatching(/redirects to/)])
    expect(test.server.requests).toHaveLength(1)
    expect(test.pauses).toEqual([])
  })

  it('without an address is refused', async () => {
    test.server.misbehave(/^\/api/, (_, response) => void response.writeHead(302).end())
    expect((await failureOf(() => test.plan())).message).toMatch(/redirects to nowhere/)
  })

  it('without end is left after ten', async () => {
    test.server.misbehave(/.*/, (request, response) => redirectTo(`${request.url}x`)(request, response), 100)
    const error = await failureOf(() => test.plan())
    expect(error.message).toMatch(/redirects without end/)
    expect(test.server.requests).toHaveLength(11)
  })

  it('from https goes to https only, even on this machine', () => {
    const hub = new URL('https://hub.example')
    const from = new URL('https://hub.example/a/b')
    expect(redirectTarget(from, '/c', hub).href).toBe('https://hub.example/c')
    expect(redirectTarget(from, 'https://store.example/x', hub).href).toBe('https://store.example/x')
    for (const location of [
      'http://hub.example/c',
      'http://127.0.0.1/c',
      'http://localhost/c',
      '//u@x/',
      'ftp://x/',
    ])
      expect(() => redirectTarget(from, location, hub)).toThrow(/redirects to/)
  })

  it('from a hub on this machine may go to http on this machine only', () => {
    const hub = new URL('http://127.0.0.1:8000')
    expect(redirectTarget(hub, 'http://localhost:9/x', hub).href).toBe('http://localhost:9/x')
    expect(redirectTarget(hub, 'http://[::1]:9/x', hub).href).toBe('http://[::1]:9/x')
    for (const location of [
      'http://10.0.0.1/',
      'http://127.0.0.1.evil.example/',
      'http://localhost.evil.example/',
    ])
      expect(() => redirectTarget(hub, location, hub)).toThrow(/redirects to/)
  })
})

describe('the token', () => {
  it('stands in no error', async () => {
    test.env['HF_TOKEN'] = secret
    const answers: Handler[] = [
      (_, response) => void response.writeHead(401).end(secret),
      (_, response) => void response.writeHead(403, { 'x-error-message': secret }).end(),
      (_, response) => void response.destroy(),
      (_, response) => void response.writeHead(418).end(),
      redirectTo(`http://example.invalid/?token=${secret}`),
      (_, response) => void response.writeHead(200).end(`{"sha": "${secret}"}`),
      (_, response) => void response.writeHead(200).end(`{"${secret}`),
    ]
    for (const answer of answers) {
      test.server.misbehave(/^\/api/, answer, 6)
      const error = await failureOf(() => test.plan())
      const told = JSON.stringify([
        error.message,
        error.next,
        error.field,
        error.file,
        error.stack,
        String(error.cause),
      ])
      expect(told).not.toContain(secret)
      test.server.behave()
    }
  })
})

describe('names of files', () => {
  it.each([
    '../evil.safetensors',
    '/etc/evil.gguf',
    'a/../../b.gguf',
    'C:\\evil.gguf',
    'x\\..\\y.gguf',
    'con.gguf',
    'a\u202eb.gguf',
  ])('like %j are not among the choices', async (name) => {
    test.server.add(modelId, { 'config.json': config, [name]: weights })
    const plan = await test.plan()
    expect(plan.choices).toEqual([])
    expect(plan.files).toEqual([])
    expect(plan.support.canOpen).toBe('no')
  })

  it.each([['../model-00001.safetensors'], ['/etc/passwd'], ['pytorch_model.bin'], [7]])(
    'like %j in an index are refused',
    async (name) => {
      const index = JSON.stringify({ weight_map: { a: name } })
      test.server.add(modelId, { 'config.json': config, 'model.safetensors.index.json': index })
      const error = await failureOf(() => test.plan())
      expect(error).toMatchObject({ code: 'hub.untrusted', field: 'weight_map' })
    },
  )

  it.each([
    '../x',
    'a/b/c',
    'a//b',
    'a--b',
    'owner/..',
    '.hidden/x',
    'owner/name.git',
    'owner/na me',
    'ówner/x',
    '',
    'https://x/y',
  ])('of repositories like %j are refused before anyone is asked', async (repoId) => {
    const error = await failureOf(() => test.hub.planDownload({ repoId }))
    expect([error.code, error.field]).toEqual(['input.invalid', 'repoId'])
    expect(test.server.requests).toEqual([])
  })

  it.each(['../main', 'a//b', '/x', 'x/', 'a..b/../c', 'x y', '.git', 'a\\b'])(
    'of revisions like %j are refused before anyone is asked',
    async (revision) => {
      const error = await failureOf(() => test.hub.planDownload({ repoId: modelId, revision }))
      expect([error.code, error.field]).toEqual(['input.invalid', 'revision'])
      expect(test.server.requests).toEqual([])
    },
  )
})

describe('absurd JSON', () => {
  const deep = '['.repeat(5000) + ']'.repeat(5000)
  const commit = 'a'.repeat(40)
  it.each([
    ['deep', deep, /nested more than 64 deep/],
    ['cut off', '{"sha": "', /can not be read/],
    ['empty', '', /can not be read/],
    ['not UTF-8', Buffer.from([0xff, 0xfe, 0x00]), /can not be read/],
    ['a login page', '<html>Please log in</html>', /can not be read/],
    ['with a key twice', '{"sha": "a", "sha": "b"}', /is there twice/],
    ['of another kind', '[]', /is not what a hub says/],
    ['with a commit that is a path', '{"sha": "../../x", "siblings": []}', /sha/],
    [
      'with sizes that are none',
      `{"sha": "${commit}", "siblings": [{"rfilename": "x", "size": -1}]}`,
      /size/,
    ],
    ['with huge sizes', `{"sha": "${commit}", "siblings": [{"rfilename": "x", "size": 1e300}]}`, /size/],
    ['without end', Buffer.alloc(200_000, 32), /sends more than 100000 bytes/],
  ])('that is %s is refused', async (_, body, message) => {
    test.server.misbehave(/^\/api/, (__, response) => void response.writeHead(200).end(body))
    const error = await failureOf(() => test.plan())
    expect([error.code, error.message]).toEqual(['hub.untrusted', expect.stringMatching(message)])
  })

  it('has no effect through a key that is __proto__', async () => {
    test.server.misbehave(/^\/api/, (_, response) => {
      response.writeHead(200).end(`{"sha": "${commit}", "siblings": [], "__proto__": {"canOpen": "yes"}}`)
    })
    expect((await test.plan()).support.canOpen).toBe('no')
    expect(({} as Record<string, unknown>)['canOpen']).toBeUndefined()
  })

  it('as config.json of the wrong hash is not used', async () => {
    test.server.add(modelId, modelFiles)
    test.server.misbehave(/config\.json/, (_, response) => sendJson(response, { model_type: 'gpt2' }))
    expect((await failureOf(() => test.plan())).message).toMatch(/its hash is another one/)
  })

  it('as config.json that is only a word is refused, whatever the word', async () => {
    test.server.add(modelId, { ...modelFiles, 'config.json': '"closed"' }, { gated: 'auto' })
    expect((await failureOf(() => test.plan())).message).toMatch(
      /config\.json of owner\/tiny-model holds no object/,
    )
  })
})

describe('a hub that leaves out sizes and hashes', () => {
  const bare = { siblings: Object.keys(modelFiles).map((rfilename) => ({ rfilename })) }

  it('is asked for each file that is needed, without leaving it for the store', async () => {
    const { commit } = test.server.add(modelId, modelFiles, bare)
    const plan = await test.plan()
    expect(plan.files.map(({ name, bytes, hash }) => [name, bytes, hash])).toEqual([
      ['config.json', config.length, gitHash(Buffer.from(config))],
      ['tokenizer.json', 13, gitHash(Buffer.from(modelFiles['tokenizer.json']))],
      ['model.safetensors', weights.length, sha256(weights)],
    ])
    expect(test.server.requests.filter(({ host }) => host === 'store')).toEqual([])
    expect(test.server.requests.map(({ method, path }) => `${method} ${path}`)).not.toContain(
      `HEAD /${modelId}/resolve/${commit}/README.md`,
    )
    const { folder } = await test.hub.download(plan)
    expect(sha256(await contentOf(folder, 'model.safetensors'))).toBe(sha256(weights))
  })

  it('is refused where it names no hash that content can be checked against', async () => {
    test.server.add(modelId, modelFiles, bare)
    test.server.misbehave(
      /resolve/,
      (_, response) => void response.writeHead(200, { etag: '"v1"' }).end(config),
      9,
    )
    const error = await failureOf(() => test.plan())
    expect(error.message).toMatch(/does not say the size and hash of config\.json/)
  })
})
