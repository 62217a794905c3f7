/**
 * `app://patchbay/…`: the only place the window is served from. A custom scheme instead of file://, so that the page has an
 * origin of its own, can read nothing else on the disk, and every response carries the same strict policy.
 */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { appOrigin } from '../../preload/shell'
import { asPatchbayError } from '../../preload/errors'

export const scheme = 'app'

/** Inline styles set from script go through the CSS object model, which `style-src 'self'` allows. */
export const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "connect-src 'self'",
  "font-src 'self'",
  "worker-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

const mimeTypes: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.map': 'application/json; charset=utf-8',
}

const headers = {
  'content-security-policy': contentSecurityPolicy,
  'x-content-type-options': 'nosniff',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
}

/**
 * The file a URL stands for, or null for one that is not ours: another host, a path that leaves `root` in any spelling, or
 * a type of file the window has no use for.
 * @param root absolute path of the folder with the built page
 */
export function locate(url: string, root: string): { file: string; mime: string } | null {
  if (!url.startsWith(`${appOrigin}/`)) return null
  let name: string
  try {
    name = decodeURIComponent(new URL(url).pathname)
  } catch {
    return null
  }
  if (/[\0\\:%]/.test(name)) return null
  if (name === '/') name = '/index.html'
  const file = path.join(root, ...name.split('/'))
  const mime = mimeTypes[path.extname(file).toLowerCase()]
  if (mime === undefined || !file.startsWith(root.endsWith(path.sep) ? root : root + path.sep)) return null
  return { file, mime }
}

/** Answers requests of the scheme from the files under `root`. */
export function serveFiles(root: string): (request: { url: string; method: string }) => Promise<Response> {
  const refuse = (status: number): Response => new Response(null, { status, headers })
  return async ({ url, method }) => {
    if (method !== 'GET' && method !== 'HEAD') return refuse(405)
    const found = locate(url, root)
    if (found === null) return refuse(404)
    try {
      const body = await readFile(found.file)
      return new Response(new Uint8Array(body), {
        status: 200,
        headers: { ...headers, 'content-type': found.mime },
      })
    } catch (error) {
      return refuse(asPatchbayError(error).code === 'file.missing' ? 404 : 500)
    }
  }
}
