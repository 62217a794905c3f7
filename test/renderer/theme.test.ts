/// <reference types="node" />
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'

const css = readFileSync(path.join(import.meta.dirname, '../../renderer/theme.css'), 'utf8')

/** The custom properties of a theme's block. */
function theme(name: 'light' | 'dark'): Record<string, string> {
  const start = css.indexOf(`:root[data-theme='${name}']`)
  const block = css.slice(css.indexOf('{', start) + 1, css.indexOf('}', start))
  return Object.fromEntries(
    [...block.matchAll(/--([\w-]+):\s*(#[0-9a-f]{6});/g)].map(([, key, value]) => [key, value]),
  )
}

/** WCAG 2 contrast ratio of two `#rrggbb` colours. */
function contrast(a: string, b: string): number {
  const luminance = (colour: string) => {
    const [r, g, bl] = [1, 3, 5].map((at) => {
      const c = parseInt(colour.slice(at, at + 2), 16) / 255
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * r + 0.7152 * g + 0.0722 * bl
  }
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x)
  return (high + 0.05) / (low + 0.05)
}

const texts = [
  'text-1',
  'text-2',
  'text-3',
  'accent',
  'danger',
  'warning',
  'success',
  'special',
  'pin',
  'side-left',
  'side-right',
]
const surfaces = ['surface-0', 'surface-1', 'surface-2']
const pairs: [string, string][] = [
  ['on-accent', 'accent'],
  ['accent', 'accent-soft'],
  ['text-2', 'accent-soft'],
  ['special', 'special-soft'],
  ['text-2', 'special-soft'],
  ['danger', 'danger-soft'],
  ['text-2', 'danger-soft'],
  ['warning', 'warning-soft'],
  ['text-2', 'warning-soft'],
  ['success', 'success-soft'],
  ['text-1', 'surface-3'],
  ['pin', 'pin-soft'],
  ['side-left', 'side-left-soft'],
  ['side-right', 'side-right-soft'],
]

describe.each(['light', 'dark'] as const)('the %s theme', (name) => {
  const colours = theme(name)

  it.each([
    ...texts.flatMap((text) => surfaces.map((surface): [string, string] => [text, surface])),
    ...pairs,
  ])('writes %s on %s with a contrast of at least 4.5', (text, surface) => {
    expect(colours[text]).toBeDefined()
    expect(colours[surface]).toBeDefined()
    expect(contrast(colours[text], colours[surface])).toBeGreaterThanOrEqual(4.5)
  })

  it.each(['line-strong', 'focus'])('draws %s so that it is seen (3:1) beside the surfaces', (line) => {
    for (const surface of surfaces)
      expect(contrast(colours[line], colours[surface])).toBeGreaterThanOrEqual(3)
  })

  it('defines the same colours as the other one', () => {
    expect(Object.keys(colours).sort()).toEqual(
      Object.keys(theme(name === 'light' ? 'dark' : 'light')).sort(),
    )
  })
})
