import { mount } from '@vue/test-utils'
import { describe, expect, it } from 'vitest'
import { barOption } from '../../../renderer/charts/bar-option'
import { csvFile, exportFile, safeName, svgText, type ChartSource } from '../../../renderer/charts/export'
import { histogramOption } from '../../../renderer/charts/histogram-option'
import { lineOption, type LineSpec } from '../../../renderer/charts/line-option'
import LineChart from '../../../renderer/charts/LineChart.vue'
import { fitText, literal, textWidth } from '../../../renderer/charts/parts'
import { readTheme } from '../../../renderer/charts/theme'
import type { ChartOption } from '../../../renderer/charts/echarts'

const theme = readTheme(document.documentElement)
const size = { width: 480, height: 320 }
const source = (option: ChartOption): ChartSource => ({
  option: () => option,
  size: () => size,
  theme: () => theme,
  table: () => ({ header: ['token', 'p'], rows: [['=cmd', 0.5]] }),
})
const lines: LineSpec = {
  x: ['0', '1', '2'],
  lines: [
    { name: '<b>·dog</b>', values: [40, 9, 0] },
    { name: '·cat', values: [1, NaN, 3] },
  ],
  xTitle: 'layer',
  yTitle: 'rank',
  scale: 'rank',
  range: null,
  selected: 1,
  pinned: null,
}

describe('charts', () => {
  it('use rich text in tooltips, never HTML', () => {
    const options = [
      lineOption(lines, size, theme),
      barOption(
        {
          labels: ['a'],
          series: [{ name: 'p', values: [1] }],
          title: 'p',
          range: null,
          format: String,
          selected: null,
        },
        size,
        theme,
      ),
      histogramOption(
        {
          histogram: { edges: Float32Array.of(0, 1), counts: Int32Array.of(3) },
          title: 'x',
          logarithmic: false,
        },
        size,
        theme,
      ),
    ]
    for (const option of options) expect(option.tooltip).toMatchObject({ renderMode: 'richText' })
    expect(literal('{a|<b>}')).not.toMatch(/[{}|]/)
  })

  it('draw hostile series names as text', () => {
    const svg = svgText(source(lineOption(lines, size, theme)))
    expect(svg).not.toContain('<b>')
    expect(svg).toContain('&lt;b&gt;')
  })

  it('show the best rank as 1, on top', () => {
    const option = lineOption(lines, size, theme)
    expect(option.yAxis).toMatchObject({ inverse: true, type: 'log', min: 1 })
    expect(option.series).toMatchObject([{ data: [41, 10, 1] }, { data: [2, '-', 4] }])
  })

  it('draw one bar a bin and none for an empty one', () => {
    const histogram = { edges: Float32Array.of(0, 1, 2, 3), counts: Int32Array.of(5, 0, 2) }
    const svg = svgText(
      source(histogramOption({ histogram, title: 'weight', logarithmic: false }, size, theme)),
    )
    expect(svg.match(new RegExp(`fill="${theme.series[0]}"`, 'g'))).toHaveLength(2)
    expect(svg).toContain('weight')
  })

  it('let the arrow keys choose an x', async () => {
    const chart = mount(LineChart, { props: { ...lines, label: 'Ranks' } })
    await chart.get('[role=application]').trigger('keydown', { key: 'ArrowRight' })
    await chart.get('[role=application]').trigger('keydown', { key: 'Home' })
    expect(chart.emitted('select')).toEqual([[2], [0]])
    expect(chart.get('[aria-live]').text()).toBe('layer 1: <b>·dog</b> 9, ·cat NaN')
  })

  it('cut text to its room, counting wide letters double', () => {
    expect(fitText('token', 10, 100)).toBe('token')
    expect(textWidth(fitText('a very long token indeed', 10, 60), 10)).toBeLessThanOrEqual(60)
    expect(fitText('abc', 10, 2)).toBe('')
    expect(textWidth('日本', 10)).toBeGreaterThan(textWidth('ab', 10))
  })
})

describe('exports', () => {
  it('have names without paths, also when named after hostile prompts', () => {
    expect(safeName('../../etc/passwd')).toBe('etc-passwd')
    expect(safeName('lens <img>/x\\y:z\u0000')).toBe('lens-img-x-y-z')
    expect(safeName('...')).toBe('patchbay')
    expect(safeName('模型 5').length).toBeGreaterThan(0)
    expect(exportFile('a/b', 'svg', new Uint8Array())).toMatchObject({
      suggestedName: 'a-b.svg',
      filters: [{ extensions: ['svg'] }],
    })
  })

  it('write CSV with a byte-order mark and inert text', () => {
    const { bytes } = csvFile(source({}).table(), 'x')
    expect(Array.from(bytes.subarray(0, 3))).toEqual([0xef, 0xbb, 0xbf])
    expect(new TextDecoder().decode(bytes)).toBe('token,p\r\n"\'=cmd",0.5\r\n')
  })

  it('write an SVG of the present size on the surface of the theme', () => {
    const svg = svgText(source(lineOption(lines, size, theme)))
    expect(svg).toMatch(/^<svg[^>]*width="480"[^>]*height="320"/)
    expect(svg).toContain(`fill="${theme.surface}"`)
  })
})
