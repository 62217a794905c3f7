import fc from 'fast-check'
import { Window } from 'happy-dom'
import { describe, expect, it } from 'vitest'
import { page, type PageParts } from '../../../main/collections/page/page'

const fingerprint = 'ab'.repeat(32)

/** A page whose every text is `text`, and whose numbers and structure never change. */
function partsOf(text: string): PageParts {
  const context = (value: number) => ({
    row: 3,
    inRows: 4,
    position: 5,
    value,
    label: text,
    start: 4,
    tokens: [0, 1, 2].map((id) => ({ id, text, special: false })),
    values: Float32Array.of(-0.5, value, NaN),
  })
  return {
    title: text,
    collection: text,
    filter: text,
    output: text,
    manifest: {
      created: '2026-01-02T03:04:05.000Z',
      provenance: { fingerprint, modelName: text, precision: 'float32', provider: 'cpu', patchbay: text },
    },
    result: {
      what: text,
      positions: 10,
      rows: 4,
      mean: 0.25,
      standardDeviation: 1,
      active: 0.5,
      histogram: { edges: Float32Array.of(-1, 0, 1), counts: Int32Array.of(3, 7) },
      top: [context(1)],
      bottom: [context(-1)],
      quantiles: [{ from: -1, to: 1, contexts: [context(0.1)] }],
      byLabel: [{ label: text, mean: 0.1, max: 1, positions: 2 }],
      tokens: [{ token: { id: 1, text, special: false }, mean: 0.5, count: 2 }],
    },
  }
}

/** All tags as they stand, with their attributes. */
const tags = (text: string): string[] => text.match(/<[^>]*>/g) ?? []
const hostile = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.constantFrom(
    '<img src=x onerror=alert(1)>',
    '</script><script>alert(1)</script>',
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    '</style><b>',
    '--></title><b>',
    'javascript:alert(1)',
    ']]>',
    '&lt;b&gt;',
    '\u202e evil',
    '\ud800',
    'a\0b',
  ),
  fc
    .array(fc.constantFrom('<', '>', '"', "'", '&', '/', '=', '!', '-', 'x', ' ', '`', '\n'), {
      maxLength: 30,
    })
    .map((all) => all.join('')),
)

describe('a page', () => {
  it('has the same tags and attributes whatever the text in it', () => {
    const plain = tags(page(partsOf('plain')).html)
    expect(plain.length).toBeGreaterThan(60)
    fc.assert(
      fc.property(hostile, (text) => {
        const made = page(partsOf(text)).html
        // An empty title is replaced by what was searched; the tags are the same either way.
        expect(tags(made)).toEqual(plain)
        expect(made.replace(/<[^>]*>/g, '')).not.toMatch(/[<>]/)
        expect(made).not.toMatch(/[\0\u202e]/)
      }),
      { numRuns: 500 },
    )
  })

  it('shows a reader exactly the text', () => {
    const text = '<b>&amp; "quoted" \'too\'</b>'
    const { document } = new Window()
    document.write(page(partsOf(text)).html)
    expect(document.querySelector('h1')?.textContent).toBe(text)
    expect(document.querySelector('.text span')?.textContent).toBe(text)
    expect(document.querySelector('.text mark')?.textContent).toBe(text)
    expect(document.querySelectorAll('b, script, img, link, iframe').length).toBe(0)
  })

  it('needs nothing else: no address, no script, and a policy against both', () => {
    const made = page(partsOf('x')).html
    expect(made).not.toMatch(/https?:|src=|href=|url\(|@import|<script/)
    expect(made).toContain('content="default-src &#39;none&#39;')
    expect(made).toContain('prefers-color-scheme: dark')
  })

  it('colours tokens by their values, marks the position, and draws the histogram', () => {
    const { document } = new Window()
    document.write(page(partsOf('x')).html)
    const spans = [...document.querySelectorAll('ol:first-of-type li:first-child .text span')]
    expect(spans.map((span) => span.getAttribute('title')).slice(0, 3)).toEqual(['−0.5', '1', 'no value'])
    expect(spans[0].className).toBe('low')
    expect(spans[0].getAttribute('style')).toBe('--a:0.5')
    expect(spans[1].querySelector('mark')).not.toBeNull()
    const bars = [...document.querySelectorAll('rect')]
    expect(bars.map((bar) => bar.getAttribute('class'))).toEqual(['low', 'high'])
    const heights = bars.map((bar) => Number(bar.getAttribute('height')))
    expect(heights[1]).toBe(100)
    expect(heights[0]).toBeCloseTo((100 * Math.log1p(3)) / Math.log1p(7), 2)
  })

  it('has a file name that is no path, whatever the title', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (title) => {
        expect(page({ ...partsOf('x'), title }).name).toMatch(/^[A-Za-z0-9][A-Za-z0-9.-]*\.html$/)
      }),
    )
    expect(page({ ...partsOf('x'), title: '../../etc/passwd' }).name).toBe('etc-passwd.html')
  })
})
