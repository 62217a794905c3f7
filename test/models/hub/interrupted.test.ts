/** Connections that break, stall, lie about lengths and change their mind: a download goes on, or fails and keeps its part. */
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { TransientFailure } from '../../../main/models/hub/failures'
import { failureOf } from '../scratch'
import { breaksAfter, sendRange, sha256, weightBytes, type Handler } from './fake-hub'
import { contentOf, incomplete, modelFiles, modelId, useHub, weights } from './use-hub'

const test = useHub()
const size = weights.length
const hash = sha256(weights)
const blobs = () => path.join(test.cache, 'models--owner--tiny-model', 'blobs')
const partial = () => path.join(blobs(), `${hash}.70617463.incomplete`)

/** The ranges with which the weights were asked for at the store. */
const ranges = () =>
  test.server
    .downloads()
    .filter(({ path: address }) => address.startsWith('/store/'))
    .map(({ range }) => range)

async function expectWhole(folder: string): Promise<void> {
  expect(sha256(await contentOf(folder, 'model.safetensors'))).toBe(hash)
  expect(incomplete(await test.files())).toEqual([])
}

/** Where one process left off: the first part of the weights. */
async function leavePart(length: number, content: Buffer = weights): Promise<void> {
  test.server.misbehave(/^\/store\//, (_, response) => void response.destroy(), 100)
  await failureOf(async () => test.hub.download(await test.plan()))
  test.server.behave()
  await writeFile(partial(), content.subarray(0, length))
  test.server.requests.length = 0
  test.pauses.length = 0
}

describe('a broken connection', () => {
  it('is made again where it broke, with If-Range once the store has said its ETag', async () => {
    test.server.add(modelId, modelFiles)
    test.server.misbehave(/^\/store\//, breaksAfter(test.server, 100_000), 2)
    const { folder } = await test.hub.download(await test.plan())
    await expectWhole(folder)
    const asked = test.server.downloads().filter(({ path: address }) => address.startsWith('/store/'))
    expect(asked.map(({ range }) => range)[0]).toBeUndefined()
    expect(asked).toHaveLength(3)
    for (const { range, ifRange } of asked.slice(1)) {
      expect(Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1])).toBeGreaterThan(0)
      expect(ifRange).toBe('"store-1"')
    }
    expect(test.pauses).toHaveLength(2)
  })

  it('does not hold a small file up either', async () => {
    test.server.add(modelId, modelFiles)
    const plan = await test.plan()
    test.server.misbehave(/config\.json/, breaksAfter(test.server, 10), 1)
    await expectWhole((await test.hub.download(plan)).folder)
  })

  it('gives up after five more attempts without progress, each after a longer pause, and keeps the part', async () => {
    test.server.add(modelId, modelFiles)
    const plan = await test.plan()
    test.server.misbehave(/^\/store\//, breaksAfter(test.server, 100_000), 1)
    test.server.misbehave(/^\/store\//, (_, response) => void response.destroy(), 100)
    const error = await failureOf(() => test.hub.download(plan))
    expect(error).toBeInstanceOf(TransientFailure)
    expect(error.message).toMatch(/^The connection to 127\.0\.0\.1:\d+ failed/)
    expect(test.pauses).toEqual([1000, 2000, 4000, 8000, 16000])
    const part = await readFile(partial())
    expect(part.equals(weights.subarray(0, part.length))).toBe(true)
    expect(incomplete(await test.files())).toHaveLength(1)

    test.server.behave()
    test.server.requests.length = 0
    await expectWhole((await test.hub.download(plan)).folder)
    expect(ranges()).toEqual([`bytes=${part.length}-`])
  })

  it('is resumed in another session from what is on the disk', async () => {
    test.server.add(modelId, modelFiles)
    await leavePart(123_456)
    const plan = await test.plan()
    expect(plan.bytesToFetch).toBe(size - 123_456)
    await expectWhole((await test.open().download(plan)).folder)
    expect(ranges()).toEqual(['bytes=123456-'])
    expect(test.server.downloads().at(-1)?.ifRange).toBeUndefined() // its ETag is not known any more
  })

  it('needs no connection where all bytes are there and only the name is missing', async () => {
    test.server.add(modelId, modelFiles)
    await leavePart(size)
    await expectWhole((await test.hub.download(await test.plan())).folder)
    expect(ranges()).toEqual([])
  })

  it('fails in the end against a server that always gives a few bytes more', async () => {
    test.server.add(modelId, modelFiles)
    const plan = await test.plan()
    test.server.misbehave(/^\/store\//, breaksAfter(test.server, 10), 1000)
    await failureOf(() => test.hub.download(plan))
    expect(ranges().length).toBe(6)
  })
})

describe('a part from another time', () => {
  it('that is not a beginning of the file is thrown away after its hash was found wrong', async () => {
    test.server.add(modelId, modelFiles)
    await leavePart(50_000, weightBytes(size, 99))
    await expectWhole((await test.hub.download(await test.plan())).folder)
    expect(ranges()).toEqual(['bytes=50000-', undefined])
  })

  it('that is longer than the file is thrown away', async () => {
    test.server.add(modelId, modelFiles)
    await leavePart(size + 1, weightBytes(size + 1, 99))
    await expectWhole((await test.hub.download(await test.plan())).folder)
    expect(ranges()).toEqual([undefined])
  })

  it('is not used where the server sends everything instead of the rest', async () => {
    test.server.add(modelId, modelFiles)
    await leavePart(50_000)
    test.server.misbehave(/^\/store\//, (request, response) => {
      delete request.headers.range
      test.server.answer(request, response)
    })
    await expectWhole((await test.hub.download(await test.plan())).folder)
    expect(ranges()).toHaveLength(1)
  })

  it('is thrown away where the server can not satisfy the range', async () => {
    test.server.add(modelId, modelFiles)
    await leavePart(50_000)
    test.server.misbehave(/^\/store\//, (_, response) => void response.writeHead(416).end())
    await expectWhole((await test.hub.download(await test.plan())).folder)
    expect(ranges()).toEqual(['bytes=50000-', undefined])
  })

  it.each([
    ['begins elsewhere', 'bytes 0-299999/300000'],
    ['ends early', 'bytes 50000-299998/300000'],
    ['is of a longer file', 'bytes 50000-299999/300001'],
    ['says nothing', undefined],
    ['is nonsense', 'bytes -1-x/y'],
  ])('is thrown away where the range of the answer %s', async (_, contentRange) => {
    test.server.add(modelId, modelFiles)
    await leavePart(50_000)
    test.server.misbehave(/^\/store\//, (_request, response) => {
      response.writeHead(206, contentRange === undefined ? {} : { 'content-range': contentRange })
      response.end(weights.subarray(50_000))
    })
    await expectWhole((await test.hub.download(await test.plan())).folder)
    expect(ranges()).toEqual(['bytes=50000-', undefined])
  })
})

describe('an ETag that changes between attempts', () => {
  it('makes the store send everything, since If-Range asks for that', async () => {
    test.server.add(modelId, modelFiles)
    const plan = await test.plan()
    test.server.misbehave(/^\/store\//, breaksAfter(test.server, 100_000), 1)
    test.server.misbehave(/^\/store\//, (request, response) => {
      test.server.storeEtag = '"store-2"'
      test.server.answer(request, response)
    })
    await expectWhole((await test.hub.download(plan)).folder)
    expect(ranges()).toHaveLength(2)
  })

  it('is noticed where the store ignores If-Range', async () => {
    test.server.add(modelId, modelFiles)
    const plan = await test.plan()
    test.server.misbehave(/^\/store\//, breaksAfter(test.server, 100_000), 1)
    test.server.misbehave(/^\/store\//, (request, response) => {
      delete request.headers['if-range']
      sendRange(request, response, weightBytes(size, 5), '"store-2"')
    })
    await expectWhole((await test.hub.download(plan)).folder)
    expect(ranges()).toHaveLength(3)
    expect(ranges()[2]).toBeUndefined()
  })

  it('ends the download where the hub itself names another file now', async () => {
    test.server.add(modelId, modelFiles)
    const plan = await test.plan()
    test.server.misbehave(/^\/store\//, breaksAfter(test.server, 100_000), 1)
    test.server.misbehave(/resolve.*safetensors/, (request, response) =>
      test.server.answer(request, response),
    )
    test.server.misbehave(/resolve.*safetensors/, (_, response) => {
      const other = sha256(weightBytes(size, 5))
      response.writeHead(302, {
        location: `${test.server.storeUrl}/store/${other}`,
        'x-linked-etag': `"${other}"`,
      })
      response.end()
    })
    const error = await failureOf(() => test.hub.download(plan))
    expect(error.message).toMatch(/has another model\.safetensors now than when the download was planned/)
    expect(ranges()).toHaveLength(1)
  })
})

describe('a server that lies about lengths', () => {
  const lengths: [string, Handler, RegExp][] = [
    [
      'ends early and says so',
      (_, response) =>
        void response.writeHead(200, { 'content-length': 1000 }).end(weights.subarray(0, 1000)),
      /wants to send 1000 bytes as model\.safetensors, where 300000 are due/,
    ],
    [
      'promises more than there is',
      (_, response) =>
        void response.writeHead(200, { 'content-length': size + 5 }).end(Buffer.alloc(size + 5)),
      /wants to send 300005 bytes/,
    ],
    [
      'sends more without saying so',
      (_, response) => void response.writeHead(200).end(Buffer.concat([weights, Buffer.from('more')])),
      /sends more than the 300000 bytes/,
    ],
    [
      'compresses though asked not to',
      (_, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end('x'),
      /sends model\.safetensors compressed/,
    ],
  ]
  it.each(lengths)('is not believed when it %s', async (_, handler, message) => {
    test.server.add(modelId, modelFiles)
    const plan = await test.plan()
    test.server.misbehave(/^\/store\//, handler, 100)
    const error = await failureOf(() => test.hub.download(plan))
    expect([error.code, error.message]).toEqual(['hub.untrusted', expect.stringMatching(message)])
    expect(test.pauses).toEqual([])
    expect(incomplete(await test.files())).toEqual([])
    expect(await test.files()).not.toContain(`models--owner--tiny-model/blobs/${hash}`)
  })

  it('is asked again for the rest when it ends early without saying so', async () => {
    test.server.add(modelId, modelFiles)
    const plan = await test.plan()
    test.server.misbehave(
      /^\/store\//,
      (_, response) => void response.writeHead(200).end(weights.subarray(0, 70_000)),
    )
    await expectWhole((await test.hub.download(plan)).folder)
    expect(ranges()).toEqual([undefined, 'bytes=70000-'])
  })
})

describe('a wrong hash', () => {
  it.each(['model.safetensors', 'config.json'] as const)(
    'of %s leaves nothing under its name',
    async (name) => {
      test.server.add(modelId, modelFiles)
      const plan = await test.plan()
      const right = Buffer.from(modelFiles[name])
      const wrong = Buffer.from(right)
      wrong[wrong.length - 1] ^= 1
      const at = name === 'config.json' ? /resolve.*config\.json/ : /^\/store\//
      test.server.misbehave(at, (_, response) => void response.writeHead(200).end(wrong), 100)
      const error = await failureOf(() => test.hub.download(plan))
      expect([error.code, error.message]).toEqual([
        'hub.untrusted',
        expect.stringContaining(`What came as ${name}`),
      ])
      expect(incomplete(await test.files())).toEqual([])
      expect(
        (await test.files()).filter((file) => file.includes('/snapshots/') || file.includes('/refs/')),
      ).toEqual(['models--owner--tiny-model/snapshots/'])
    },
  )
})

describe('a busy server', () => {
  const busy = (headers: Record<string, string>, status = 429): Handler => {
    return (_, response) => void response.writeHead(status, headers).end('busy')
  }

  it('that says how long to wait is waited for so long', async () => {
    test.server.add(modelId, modelFiles)
    test.server.misbehave(/^\/api/, busy({ 'retry-after': '7' }), 2)
    test.server.misbehave(/^\/store/, busy({ 'retry-after': '3' }), 1)
    await expectWhole((await test.hub.download(await test.plan())).folder)
    expect(test.pauses).toEqual([7000, 7000, 3000])
  })

  it('that does not say is waited for longer and longer', async () => {
    test.server.add(modelId, modelFiles)
    test.server.misbehave(/^\/api/, busy({}), 3)
    await test.plan()
    expect(test.pauses).toEqual([1000, 2000, 4000])
  })

  it('that wants a longer pause than one sits out is reported at once', async () => {
    test.server.misbehave(/^\/api/, busy({ 'retry-after': '4000' }), 1)
    const error = await failureOf(() => test.plan())
    expect(error.message).toMatch(/is asked too often \(429\)/)
    expect(test.pauses).toEqual([])
  })

  it.each([500, 502, 503, 504, 408])('that answers %i is asked again', async (status) => {
    test.server.add(modelId, modelFiles)
    test.server.misbehave(/^\/api/, busy({}, status), 1)
    test.server.misbehave(/resolve.*safetensors/, busy({}, status), 1)
    await expectWhole((await test.hub.download(await test.plan())).folder)
    expect(test.pauses).toEqual([1000, 1000])
  })

  it('that stays so is reported', async () => {
    test.server.misbehave(/^\/api/, busy({}, 503), 100)
    const error = await failureOf(() => test.plan())
    expect(error.message).toMatch(/could not answer \(503\)/)
    expect(test.pauses).toHaveLength(5)
  })
})

describe('a server that trickles', () => {
  it('is left when it sends a byte now and then', async () => {
    test.server.add(modelId, modelFiles)
    const plan = await test.plan()
    test.server.misbehave(/^\/store\//, (_, response) => {
      response.writeHead(200)
      const drip = setInterval(() => response.write('x'), 5)
      response.on('close', () => clearInterval(drip))
    })
    // What trickled in is not the file, as the hash shows; then all of it comes.
    const hub = test.open({ limits: { stallMs: 100, progressBytes: 1 << 16 } })
    await expectWhole((await hub.download(plan)).folder)
    expect(test.pauses.length).toBeGreaterThan(0)
  })

  it('is left when it never answers', async () => {
    test.server.misbehave(/^\/api/, () => undefined, 100)
    const hub = test.open({ limits: { answerMs: 30, retries: 1 } })
    const error = await failureOf(() => hub.planDownload({ repoId: modelId }))
    expect(error.message).toMatch(/sent nothing useful for 0\.03 s/)
  })
})
