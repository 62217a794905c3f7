import { describe, expect, it } from 'vitest'
import type { LensMap } from '../../preload/views'
import type { Strokes } from '../../renderer/charts/strokes'
import { readTheme } from '../../renderer/charts/theme'
import { drawingSvg } from '../../renderer/exports/drawing'
import { describeCell, lensPicture, lensScale, pointLabel } from '../../renderer/views/prompt/lens-data'
import { lensCsv, lensDrawing } from '../../renderer/views/prompt/lens-exports'
import { lensLayout, paintLens } from '../../renderer/views/prompt/lens-paint'
import { lensText } from '../../renderer/views/prompt/lens-text'
import { encode, lensOf } from './support/fake-model'

const theme = readTheme(document.documentElement)
const promptOf = (text: string) => {
  const { tokens } = encode({ kind: 'text', text, bos: 'model' })
  return { tokens, lens: lensOf(tokens.map(({ id }) => id)) }
}
const hostile = '=1+2 <img src=x onerror=alert(1)> \u202Eevil'

/** A hand that writes down instead of drawing. */
function recording() {
  const texts: string[] = []
  const rects: string[] = []
  const outlines: { x: number; y: number; dashed: boolean }[] = []
  const strokes: Strokes = {
    rect: (x, y, _width, _height, fill) => rects.push(`${x},${y} ${fill}`),
    path: () => undefined,
    outline: (x, y, _width, _height, _colour, _line, dashed) => outlines.push({ x, y, dashed }),
    text: (_x, _y, text) => texts.push(text),
    clip: (_x, _y, _width, _height, draw) => draw(),
  }
  return { texts, rects, outlines, strokes }
}

describe('the lens', () => {
  it('names the embedding, then the blocks behind which a point lies', () => {
    expect([0, 1, 4].map(pointLabel)).toEqual(['embed', 'block 0', 'block 3'])
  })

  it('colours by probability on a fixed scale, by entropy up to its highest, by rank on a logarithmic one', () => {
    const { lens } = promptOf('Mary and John')
    const probability = lensScale(lens, 'probability', 1024)
    expect(probability.fraction(3)).toBe(lens.topProbabilities.data[3])
    expect([probability.low, probability.high]).toEqual(['0 %', '100 %'])
    const entropy = lensScale(lens, 'entropy', 1024)
    const highest = Math.max(...lens.entropies.data)
    expect(entropy.fraction(lens.entropies.data.indexOf(highest))).toBeCloseTo(1, 6)
    lens.finalRanks.data[0] = 1023
    lens.finalRanks.data[1] = 0
    const rank = lensScale(lens, 'rank', 1024)
    expect(rank.fraction(0)).toBeCloseTo(0, 6)
    expect(rank.fraction(1)).toBe(1)
  })

  it('says of a cell its place, top token, entropy and the final token’s rank, counted from 1', () => {
    const { lens, tokens } = promptOf('Mary and John')
    const cell = 4 * 3 + 2
    lens.finalRanks.data[cell] = 0
    const lines = describeCell(lens, tokens, 4, 2)
    expect(lines[0]).toBe('block 3, position 2 ·John')
    expect(lines[3]).toMatch(/^final token: rank 1, /)
  })

  it('paints only the cells in sight', () => {
    const { lens, tokens } = promptOf(Array.from({ length: 500 }, () => 'Mary').join(' '))
    const picture = lensPicture(lens, tokens, lensScale(lens, 'probability', 1024))
    const layout = lensLayout(picture, 600, 300)
    const { rects, strokes } = recording()
    paintLens(
      strokes,
      picture,
      layout,
      { selected: null, pinned: null },
      { x: 5200, y: 0, width: 520, height: 276 },
      theme,
    )
    expect(rects.length).toBeGreaterThan(50)
    expect(rects.length).toBeLessThanOrEqual(12 * 5)
  })

  it('puts the embedding at the bottom and marks the selected and, dashed, the pinned cell', () => {
    const { lens, tokens } = promptOf('Mary and John')
    const picture = lensPicture(lens, tokens, lensScale(lens, 'probability', 1024))
    const layout = { left: 60, top: 24, cellWidth: 50, cellHeight: 20 }
    const { outlines, strokes } = recording()
    const marks = { selected: { point: 4, position: 1 }, pinned: { point: 0, position: 0 } }
    paintLens(strokes, picture, layout, marks, { x: 0, y: 0, width: 150, height: 100 }, theme)
    expect(outlines).toContainEqual({ x: 60, y: 24 + 4 * 20, dashed: true })
    expect(outlines).toContainEqual({ x: 60 + 50, y: 24, dashed: false })
  })

  it('is drawn as SVG in which tokens are text and nothing else', () => {
    const { lens, tokens } = promptOf(hostile)
    lens.tokens[String(lens.topIds.data[0])] = {
      id: 0,
      piece: '',
      text: '</text><script>alert(1)</script>',
      special: false,
    }
    const svg = drawingSvg(
      lensDrawing(lensPicture(lens, tokens, lensScale(lens, 'probability', 1024))),
      theme,
    )
    const parsed = new DOMParser().parseFromString(svg, 'image/svg+xml')
    const names = new Set([...parsed.querySelectorAll('*')].map((element) => element.tagName.toLowerCase()))
    expect([...names].sort()).toEqual(['clippath', 'g', 'rect', 'svg', 'text'])
    expect(svg).not.toContain('<img')
    expect(svg).not.toContain('<script')
  })

  it('is saved as CSV in which no token is a formula', () => {
    const { lens, tokens } = promptOf(hostile)
    const text = new TextDecoder().decode(lensCsv(lens, tokens).bytes)
    expect(text.split('\r\n')).toHaveLength(5 * tokens.length + 2)
    expect(text).toContain('blocks.3.hook_resid_post')
    expect(text).toContain(`"'=1+2"`)
    for (const field of text.split(/[\r\n,]+/)) expect(field).not.toMatch(/^"?=/)
  })

  it('is written for a terminal with every position’s last predictions', () => {
    const { lens, tokens } = promptOf('Mary and John went')
    const lines = lensText(lens, tokens, 'Logit lens · storyworld').split('\n')
    expect(lines[0]).toBe('Logit lens · storyworld')
    expect(lines[1]).toMatch(/block 0 +block 1 +block 2 +block 3/)
    expect(lines).toHaveLength(2 + 4)
    expect(lines[3]).toMatch(/^ +1 ·and/)
  })

  it('is written for a terminal without control characters, and of a long prompt the end', () => {
    const { lens, tokens } = promptOf(Array.from({ length: 100 }, () => 'a\u001b[31m\u202Eb').join(' '))
    const text = lensText(lens, tokens, 'x')
    expect(text).not.toMatch(/[\u001b\u202e]/)
    expect(text).toContain('76 positions before')
    expect(text.split('\n')).toHaveLength(2 + 1 + 24)
  })

  it('shows an id whose token is not given as a number', () => {
    const { lens, tokens } = promptOf('Mary')
    const bare: LensMap = { ...lens, tokens: {} }
    const picture = lensPicture(bare, tokens, lensScale(bare, 'probability', 1024))
    expect(picture.text(0)).toBe(`#${lens.topIds.data[0]}`)
  })
})
