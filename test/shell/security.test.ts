import { describe, expect, it } from 'vitest'
import { isTrustedFrame, mayLoad } from '../../main/shell/security'

describe('what the page may load', () => {
  it.each([
    'app://patchbay/index.html',
    'blob:app://patchbay/1-2',
    'data:image/png;base64,AA',
    'devtools://devtools/x',
  ])('its own: %s', (url) => expect(mayLoad(url)).toBe(true))
  it.each([
    'https://example.com/x.png',
    'http://127.0.0.1/',
    'ws://localhost',
    'file:///etc/passwd',
    'app://other/',
    'blob:https://x/1',
  ])('nothing else: %s', (url) => expect(mayLoad(url)).toBe(false))
  it('trusts the top frame of our page only', () => {
    expect(isTrustedFrame({ url: 'app://patchbay/index.html', parent: null })).toBe(true)
    expect(isTrustedFrame(null)).toBe(false)
  })
})
