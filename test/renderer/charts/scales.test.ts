import { describe, expect, it } from 'vitest'
import { fractionIn, fromZero, quantities, symmetric } from '../../../renderer/charts/domains'
import { formatBytes, formatNumber, formatProbability, formatSigned } from '../../../renderer/charts/numbers'
import { colourAt, colourMapNames, colourTable, inkOn } from '../../../renderer/charts/scales'

/** CIE lightness of `#rrggbb`, 0 to 100. */
function lightness(colour: string): number {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const c = parseInt(colour.slice(at, at + 2), 16) / 255
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
  })
  const y = 0.2126 * r + 0.7152 * g + 0.0722 * b
  return y > 0.008856 ? 116 * Math.cbrt(y) - 16 : 903.3 * y
}
const ramp = (name: (typeof colourMapNames)[number]) =>
  Array.from({ length: 21 }, (_, i) => lightness(colourAt(name, i / 20)))

describe('colour maps', () => {
  it('begin and end with the published colours', () => {
    expect(colourAt('viridis', 0)).toBe('#440154')
    expect(colourAt('viridis', 1)).toBe('#fde725')
    expect(colourAt('cividis', 0)).toBe('#00224e')
    expect(colourAt('cividis', 1)).toBe('#fee838')
  })

  it('sequential ones grow lighter at every step', () => {
    for (const name of ['viridis', 'cividis'] as const) {
      const lights = ramp(name)
      for (let i = 1; i < lights.length; i++) expect(lights[i]).toBeGreaterThan(lights[i - 1])
    }
  })

  it('the diverging ones turn at zero: vik is lightest and berlin darkest in the middle', () => {
    const vik = ramp('vik')
    const berlin = ramp('berlin')
    expect(vik.indexOf(Math.max(...vik))).toBeCloseTo(10, -0.5)
    expect(berlin.indexOf(Math.min(...berlin))).toBe(10)
  })

  it('take values beyond the ends for the ends, and hold 257 colours each', () => {
    for (const name of colourMapNames) {
      expect(colourTable(name).length).toBe(257 * 3)
      expect(colourAt(name, -4)).toBe(colourAt(name, 0))
      expect(colourAt(name, 9)).toBe(colourAt(name, 1))
    }
  })

  it('get ink of at least 4.5:1 contrast on every colour', () => {
    const luminance = (colour: string) => {
      const l = lightness(colour)
      return l > 8 ? ((l + 16) / 116) ** 3 : l / 903.3
    }
    for (const name of colourMapNames)
      for (let i = 0; i <= 255; i++) {
        const colour = colourAt(name, i / 255)
        const [a, b] = [luminance(colour), luminance(inkOn(colour))].sort((x, y) => y - x)
        expect((a + 0.05) / (b + 0.05)).toBeGreaterThanOrEqual(4.5)
      }
  })
})

describe('domains', () => {
  it('of signed quantities are centred on zero and cover all arrays that share them', () => {
    expect(symmetric([-1, 2], [0, -5, NaN, Infinity])).toEqual({ kind: 'diverging', min: -5, max: 5 })
    expect(symmetric([0, 0])).toEqual({ kind: 'diverging', min: -1, max: 1 })
    expect(fractionIn(symmetric([-3, 1]), 0)).toBe(0.5)
  })

  it('of counted quantities begin at zero', () => {
    expect(fromZero([2, 7], [1, NaN])).toEqual({ kind: 'sequential', min: 0, max: 7 })
    expect(fromZero([])).toEqual({ kind: 'sequential', min: 0, max: 1 })
  })

  it('of probabilities and cosines are the same whatever the values are', () => {
    expect(quantities.probability.domain()).toEqual({ kind: 'sequential', min: 0, max: 1 })
    expect(quantities.cosine.domain()).toEqual({ kind: 'diverging', min: -1, max: 1 })
  })

  it('keep NaN apart from every colour and put infinities at the ends', () => {
    const domain = symmetric([4])
    expect(fractionIn(domain, NaN)).toBeNaN()
    expect(fractionIn(domain, -Infinity)).toBe(0)
    expect(fractionIn(domain, Infinity)).toBe(1)
  })
})

describe('numbers', () => {
  it.each([
    [0, '0'],
    [0.013_249, '0.0132'],
    [-2.5, '−2.5'],
    [12_345.6, '12,346'],
    [0.000_012_4, '1.24e−5'],
    [3e9, '3e9'],
    [NaN, 'NaN'],
    [-Infinity, '−∞'],
  ])('writes %d as %s', (value, text) => {
    expect(formatNumber(value)).toBe(text)
  })

  it('writes probabilities in percent without pretending to certainty', () => {
    expect(formatProbability(0.632_15)).toBe('63.2 %')
    expect(formatProbability(0.99996)).toBe('100 %')
    expect(formatProbability(0.999)).toBe('99.9 %')
    expect(formatProbability(0.000_000_1)).toBe('< 0.01 %')
    expect(formatProbability(0)).toBe('0 %')
  })

  it('always shows the sign of a difference and the unit of a size', () => {
    expect(formatSigned(0.25)).toBe('+0.25')
    expect(formatSigned(-0.25)).toBe('−0.25')
    expect(formatBytes(1_468_006)).toBe('1.40 MiB')
    expect(formatBytes(12)).toBe('12 B')
  })
})
