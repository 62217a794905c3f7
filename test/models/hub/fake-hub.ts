/**
 * A hub on this machine, with a store on another port for large files, as the real one has. It behaves until it is told
 * to misbehave; it keeps what it was asked.
 */
import { createHash } from 'node:crypto'
import http from 'node:http'
import type { AddressInfo } from 'node:net'

export type Handler = (request: http.IncomingMessage, response: http.ServerResponse) => void

interface Misbehaviour {
  pattern: RegExp
  handler: Handler
  left: number
}

/** Files above this are kept in the store, under their sha256. */
const largeFrom = 10_000

export interface FakeRepo {
  commit: string
  files: Map<string, Buffer>
  /** Merged over what the hub says about the model. */
  info: Record<string, unknown>
}

export const sha256 = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex')
export const gitHash = (content: Uint8Array): string =>
  createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex')
/** How the hub names the content of a file. */
export const hashOf = (content: Uint8Array): string =>
  content.length > largeFrom ? sha256(content) : gitHash(content)

/** Bytes that look like weights: the same for the same seed. */
export function weightBytes(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length)
  for (let i = 0, x = seed; i < length; i++) bytes[i] = (x = (Math.imul(x, 1103515245) + 12345) >>> 0) >>> 24
  return bytes
}

export class FakeHub {
  readonly requests: {
    method: string
    path: string
    host: 'hub' | 'store'
    headers: http.IncomingHttpHeaders
  }[] = []
  readonly repos = new Map<string, FakeRepo>()
  /** Entries of the next search's answer. */
  found: unknown[] = []
  /** What the store calls the file; not its hash, as with the real one. */
  storeEtag = '"store-1"'
  private misbehaviours: Misbehaviour[] = []
  private readonly hub = http.createServer((request, response) => this.serve('hub', request, response))
  private readonly store = http.createServer((request, response) => this.serve('store', request, response))

  async start(): Promise<void> {
    for (const server of [this.hub, this.store])
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  }

  async stop(): Promise<void> {
    for (const server of [this.hub, this.store]) {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  }

  get url(): string {
    return `http://127.0.0.1:${(this.hub.address() as AddressInfo).port}`
  }

  get storeUrl(): string {
    return `http://127.0.0.1:${(this.store.address() as AddressInfo).port}`
  }

  /** Puts a repository there. */
  add(id: string, files: Record<string, string | Uint8Array>, info: Record<string, unknown> = {}): FakeRepo {
    const contents = Object.entries(files).map(([name, content]) => [name, Buffer.from(content)] as const)
    const commit = createHash('sha1').update(id).update(Object.keys(files).join()).digest('hex')
    const repo = { commit, files: new Map(contents), info }
    this.repos.set(id, repo)
    return repo
  }

  /** Answers the next `times` requests whose address fits in another way. */
  misbehave(pattern: RegExp, handler: Handler, times = 1): void {
    this.misbehaviours.push({ pattern, handler, left: times })
  }

  behave(): void {
    this.misbehaviours = []
  }

  /** Requests for content, without those of planning. */
  downloads(): { path: string; range: string | undefined; ifRange: string | undefined }[] {
    return this.requests
      .filter(({ path }) => path.startsWith('/store/') || path.includes('/resolve/'))
      .map(({ path, headers }) => ({
        path,
        range: headers.range,
        ifRange: headers['if-range'] as string | undefined,
      }))
  }

  private serve(host: 'hub' | 'store', request: http.IncomingMessage, response: http.ServerResponse): void {
    const path = request.url ?? ''
    this.requests.push({ method: request.method ?? '', path, host, headers: request.headers })
    const odd = this.misbehaviours.find(({ pattern, left }) => left > 0 && pattern.test(path))
    if (odd !== undefined) {
      odd.left--
      odd.handler(request, response)
    } else this.answer(request, response)
  }

  /** The good behaviour, for handlers that change only a part of it. */
  answer(request: http.IncomingMessage, response: http.ServerResponse): void {
    const { pathname } = new URL(request.url ?? '', this.url)
    const listing = /^\/api\/models\/(.+)\/revision\/([^/]+)$/.exec(pathname)
    const content = /^\/(.+)\/resolve\/([^/]+)\/(.+)$/.exec(pathname)
    const stored = /^\/store\/([0-9a-f]{64})$/.exec(pathname)
    if (pathname === '/api/models') sendJson(response, this.found)
    else if (listing !== null) this.sendListing(response, listing[1])
    else if (content !== null) this.sendFile(request, response, content[1], decodeURIComponent(content[3]))
    else if (stored !== null) this.sendStored(request, response, stored[1])
    else response.writeHead(404).end()
  }

  private sendListing(response: http.ServerResponse, id: string): void {
    const repo = this.repos.get(id)
    if (repo === undefined) return void response.writeHead(401, { 'x-error-code': 'RepoNotFound' }).end()
    const siblings = [...repo.files].map(([rfilename, content]) => ({
      rfilename,
      size: content.length,
      blobId: gitHash(content),
      ...(content.length > largeFrom
        ? { lfs: { sha256: sha256(content), size: content.length, pointerSize: 130 } }
        : {}),
    }))
    sendJson(response, { id, sha: repo.commit, siblings, ...repo.info })
  }

  private sendFile(
    request: http.IncomingMessage,
    response: http.ServerResponse,
    id: string,
    name: string,
  ): void {
    const repo = this.repos.get(id)
    const content = repo?.files.get(name)
    if (repo === undefined || content === undefined)
      return void response.writeHead(404, { 'x-error-code': 'EntryNotFound' }).end()
    const hash = hashOf(content)
    response.setHeader('x-repo-commit', repo.commit)
    if (content.length <= largeFrom) return sendRange(request, response, content, `"${hash}"`)
    response.writeHead(302, {
      location: `${this.storeUrl}/store/${hash}?signature=s3cr3t`,
      'x-linked-etag': `"${hash}"`,
      'x-linked-size': String(content.length),
    })
    response.end('Found')
  }

  private sendStored(request: http.IncomingMessage, response: http.ServerResponse, hash: string): void {
    const contents = [...this.repos.values()].flatMap((repo) => [...repo.files.values()])
    const content = contents.find((each) => sha256(each) === hash)
    if (content === undefined) response.writeHead(404).end()
    else sendRange(request, response, content, this.storeEtag)
  }
}

export const sendJson = (response: http.ServerResponse, value: unknown): void =>
  void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value))

/** A file, or the part of it that was asked for if the ETag still fits. */
export function sendRange(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  content: Buffer,
  etag: string,
): void {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? NaN)
  const condition = request.headers['if-range']
  const partial = !Number.isNaN(from) && (condition === undefined || condition === etag)
  if (partial && from >= content.length)
    return void response.writeHead(416, { 'content-range': `bytes */${content.length}` }).end()
  const body = partial ? content.subarray(from) : content
  response.writeHead(partial ? 206 : 200, {
    etag,
    'content-length': body.length,
    ...(partial ? { 'content-range': `bytes ${from}-${content.length - 1}/${content.length}` } : {}),
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

/** Sends the head and so much of the body as it should, then breaks the connection. */
export const breaksAfter =
  (hub: FakeHub, bytes: number): Handler =>
  (request, response) => {
    const end = response.end.bind(response)
    response.end = ((body?: Uint8Array) => {
      if (body === undefined || body.length <= bytes) return end(body as never)
      response.write(body.subarray(0, bytes), () => response.socket?.destroySoon())
      return response
    }) as never
    hub.answer(request, response)
  }
