import fc from 'fast-check'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { contentSecurityPolicy, locate, serveFiles } from '../../main/shell/protocol'

const folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-test-'))
const root = path.join(folder, 'renderer')
writeFileSync(path.join(folder, 'secret.json'), '{}')
mkdirSync(path.join(root, 'assets'), { recursive: true })
writeFileSync(path.join(root, 'index.html'), '<!doctype html>')
writeFileSync(path.join(root, 'assets', 'index-1.js'), 'export {}')
writeFileSync(path.join(root, 'notes.txt'), 'not for the page')
afterAll(() => rmSync(folder, { recursive: true }))

describe('where a URL leads', () => {
  it('finds the page and its files, with their types', () => {
    expect(locate('app://patchbay/', root)).toEqual({
      file: path.join(root, 'index.html'),
      mime: 'text/html; charset=utf-8',
    })
    expect(locate('app://patchbay/assets/index-1.js?v=1#x', root)?.file).toBe(
      path.join(root, 'assets', 'index-1.js'),
    )
    expect(locate('app://patchbay/assets/index-1.js', root)?.mime).toBe('text/javascript; charset=utf-8')
  })

  it.each([
    'app://patchbay/../secret.json',
    'app://patchbay/%2e%2e/secret.json',
    'app://patchbay/..%2fsecret.json',
    'app://patchbay/%2e%2e%2fsecret.json',
    'app://patchbay/%252e%252e%252fsecret.json',
    'app://patchbay/..%5csecret.json',
    'app://patchbay/assets/..%2f..%2fsecret.json',
    'app://patchbay/C:%2fWindows%2fwin.json',
    'app://patchbay/secret.json%00.html',
    'app://patchbay/%ff.html',
    'app://patchbay//etc/passwd.json/../../secret.json',
  ])('never leaves the folder: %s', async (url) => {
    const found = locate(url, root)
    if (found !== null) expect(path.relative(root, found.file)).not.toMatch(/^\.\./)
    const response = await serveFiles(root)({ url, method: 'GET' })
    expect(response.status).toBe(404)
  })

  it('never leaves the folder, whatever the path', () => {
    const piece = fc.constantFrom(
      '..',
      '.',
      '%2e%2e',
      '%2f',
      '%5c',
      '\\',
      '/',
      'secret.json',
      'assets',
      '%00',
      '%',
      'ü',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const found = locate(`app://patchbay/${pieces.join('')}`, root)
        if (found !== null) expect(found.file.startsWith(root + path.sep)).toBe(true)
      }),
    )
  })

  it.each([
    'app://elsewhere/index.html',
    'https://patchbay/index.html',
    'file:///etc/passwd',
    'app://patchbay',
    'nonsense',
  ])('is not ours: %s', (url) => {
    expect(locate(url, root)).toBeNull()
  })
})

describe('responses', () => {
  const serve = serveFiles(root)

  it('carry the policy, the type and nosniff', async () => {
    const response = await serve({ url: 'app://patchbay/index.html', method: 'GET' })
    expect(response.status).toBe(200)
    expect(await response.text()).toBe('<!doctype html>')
    expect(response.headers.get('content-security-policy')).toBe(contentSecurityPolicy)
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
  })

  it('are 404 for what is not there or has no type the page may load', async () => {
    for (const name of ['none.js', 'notes.txt', 'assets'])
      expect((await serve({ url: `app://patchbay/${name}`, method: 'GET' })).status).toBe(404)
  })

  it('refuse every method but GET and HEAD', async () => {
    expect((await serve({ url: 'app://patchbay/index.html', method: 'POST' })).status).toBe(405)
  })
})

it('allows scripts and styles from our own files only, and nothing unsafe', () => {
  const rules = Object.fromEntries(
    contentSecurityPolicy.split('; ').map((rule) => [rule.split(' ')[0] ?? '', rule.split(' ').slice(1)]),
  )
  expect(rules['default-src']).toEqual(["'none'"])
  expect(rules['script-src']).toEqual(["'self'"])
  expect(rules['style-src']).toEqual(["'self'"])
  expect(rules['connect-src']).toEqual(["'self'"])
  expect(contentSecurityPolicy).not.toMatch(/unsafe|https?:|\*/)
})
