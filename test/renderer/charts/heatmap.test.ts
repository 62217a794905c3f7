import { mount } from '@vue/test-utils'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { cellPixels } from '../../../renderer/charts/cell-image'
import { quantities, symmetric } from '../../../renderer/charts/domains'
import { svgText } from '../../../renderer/charts/export'
import { movedCell } from '../../../renderer/charts/grid-cursor'
import { cellUnder, heatmapLayout, placeOf } from '../../../renderer/charts/heatmap-layout'
import HeatmapMarks from '../../../renderer/charts/HeatmapMarks.vue'
import { heatmapOption, type HeatmapSpec } from '../../../renderer/charts/heatmap-option'
import HeatmapChart from '../../../renderer/charts/HeatmapChart.vue'
import { colourAt } from '../../../renderer/charts/scales'
import { readTheme } from '../../../renderer/charts/theme'
import { init } from '../../../renderer/charts/echarts'

const theme = readTheme(document.documentElement)
const spec = (part: Partial<HeatmapSpec> = {}): HeatmapSpec => ({
  values: [0, 0.25, 0.5, NaN, 1, 0.75],
  rows: ['a', 'b'],
  columns: ['x', 'y', 'z'],
  domain: quantities.probability.domain(),
  title: 'probability',
  sequential: 'viridis',
  rowTitle: 'layer',
  columnTitle: 'position',
  origin: 'top',
  cellText: null,
  ...part,
})
const draw = (of: HeatmapSpec, size = { width: 600, height: 300 }, colours = theme) =>
  svgText({
    option: (at, in_) => heatmapOption(of, at, in_),
    size: () => size,
    theme: () => colours,
    table: () => ({ header: [], rows: [] }),
  })
const rgb = (fraction: number) => {
  const hex = colourAt('viridis', fraction)
  return `rgb(${[1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)).join(',')})`
}

describe('a heatmap', () => {
  it('draws a shape for each value in the colour of its place in the domain, and none for NaN', () => {
    const svg = draw(spec())
    for (const fraction of [0, 0.25, 0.5, 0.75, 1])
      expect(svg.includes(rgb(fraction)) || svg.includes(colourAt('viridis', fraction))).toBe(true)
    expect(svg.match(/stroke="#ffffff"/gi)).toHaveLength(5)
  })

  it('always has a legend with its quantity and both ends of its range', () => {
    const svg = draw(spec({ domain: symmetric([-2.5, 1]), title: 'activation' }))
    for (const text of ['activation', '−2.5', '>0<', '2.5']) expect(svg).toContain(text)
  })

  it('shows hostile labels as text', () => {
    const hostile = '<img src=x onerror=alert(1)>'
    const svg = draw(
      spec({ columns: [hostile, '</text><script>1</script>', '{a|b}'], cellText: Array(6).fill(hostile) }),
    )
    expect(svg).not.toContain('<img')
    expect(svg).not.toContain('<script')
    expect(svg).toContain('&lt;img')
  })

  it('writes text into the cells where they are large enough, and leaves it out where not', () => {
    const cellText = ['p0', 'p1', 'p2', 'p3', 'p4', 'p5']
    const svg = draw(spec({ cellText }))
    for (const text of ['p0', 'p1', 'p2', 'p4', 'p5']) expect(svg).toContain(`>${text}<`)
    expect(svg).not.toContain('>p3<')
    expect(draw(spec({ cellText }), { width: 90, height: 120 })).not.toContain('>p0<')
  })

  it('turns long column labels and leaves out what would collide', () => {
    const labels = {
      rows: ['a'],
      columns: Array.from({ length: 40 }, (_, i) => `token${i}`),
      rowTitle: '',
      columnTitle: '',
    }
    const wide = heatmapLayout({ ...labels, columns: ['a', 'b'] }, { width: 500, height: 300 }, theme)
    expect(wide).toMatchObject({ rotate: 0, columnStep: 1 })
    const narrow = heatmapLayout(labels, { width: 300, height: 300 }, theme)
    expect(narrow.rotate).toBe(90)
    expect(narrow.columnStep).toBeGreaterThan(1)
  })

  it('is painted in one go, so that no painting outlives the chart or is missing in an exported picture', () => {
    const columns = Array.from({ length: 100 }, (_, i) => `t${i}`)
    const values = Float32Array.from({ length: 5000 }, (_, i) => i / 5000)
    const size = { width: 800, height: 400 }
    const chart = init(null, null, { renderer: 'svg', ssr: true, ...size })
    chart.setOption(heatmapOption(spec({ rows: columns.slice(0, 50), columns, values }), size, theme))
    const shapes = chart.getZr().storage.getDisplayList(true)
    expect(shapes.length).toBeGreaterThan(5000)
    expect(shapes.filter((shape) => shape.incremental)).toEqual([])
    chart.dispose()
  })

  it('paints large grids pixel by pixel in the same colours, NaN transparent', () => {
    const pixels = cellPixels(
      { values: [0, 1, NaN], rows: 1, columns: 3 },
      quantities.probability.domain(),
      'viridis',
    )
    expect(Array.from(pixels.subarray(0, 8))).toEqual([0x44, 0x01, 0x54, 255, 0xfd, 0xe7, 0x25, 255])
    expect(pixels[11]).toBe(0)
  })
})

describe('the cells of a heatmap', () => {
  const extent = { rows: 2, columns: 3, origin: 'bottom' as const }
  const layout = heatmapLayout(spec(), { width: 600, height: 300 }, theme)

  it('are found under the mouse where they are drawn', () => {
    for (const cell of [
      { row: 0, column: 0 },
      { row: 1, column: 2 },
    ]) {
      const { x, y, width, height } = placeOf(layout, extent, cell)
      expect(cellUnder(layout, extent, x + width / 2, y + height / 2)).toEqual(cell)
    }
    expect(placeOf(layout, extent, { row: 0, column: 0 }).y).toBeGreaterThan(layout.top)
  })

  it('end where the plot ends', () => {
    expect(cellUnder(layout, extent, layout.left - 1, 100)).toBeNull()
    expect(cellUnder(layout, extent, 300, layout.top - 1)).toBeNull()
    expect(cellUnder(layout, extent, 599, 100)).toBeNull()
  })

  it('are outlined when selected, pinned or under the cursor, tiny ones at some distance', () => {
    const marks = mount(HeatmapMarks, {
      props: {
        layout: { ...layout, cellWidth: 1, cellHeight: 20 },
        ...extent,
        selected: { row: 1, column: 1 },
        pinned: { row: 0, column: 9 },
        cursor: null,
      },
    })
    expect(marks.findAll('.mark').map((mark) => mark.classes())).toEqual([['mark', 'selected']])
    expect(marks.get<HTMLElement>('.mark').element.style).toMatchObject({
      left: `${layout.left + 1 - 4}px`,
      width: '9px',
      height: '20px',
    })
  })
})

describe('a heatmap as SVG', () => {
  afterEach(() => {
    vi.restoreAllMocks()
  })

  it('is well-formed, also with its stripes for cells without a value', () => {
    // happy-dom draws nothing; that there is a canvas is enough for the stripes to be used.
    const context = {
      fillRect: vi.fn(),
      moveTo: vi.fn(),
      lineTo: vi.fn(),
      stroke: vi.fn(),
      measureText: () => ({ width: 9 }),
    }
    vi.spyOn(HTMLCanvasElement.prototype, 'getContext').mockReturnValue(context as never)
    vi.spyOn(HTMLCanvasElement.prototype, 'toDataURL').mockReturnValue('data:image/png;base64,AA==')
    const root = document.documentElement
    root.style.setProperty('--font-sans', '"Segoe UI", "Noto Sans", sans-serif')
    const quoted = readTheme(root)
    root.style.removeProperty('--font-sans')
    const svg = draw(spec({ cellText: Array<string>(6).fill('"<&>') }), undefined, quoted)
    expect(svg).toContain(`'Segoe UI'`)
    expect(svg).toContain('<pattern')
    const tags = svg.replace(/<!\[CDATA\[[^]*?\]\]>/g, '').match(/<[^>]*>/g) ?? []
    for (const tag of tags) expect(tag).toMatch(/^<\/?[a-zA-Z]+(\s+[\w:-]+="[^"<]*")*\s*\/?>$/)
  })
})

describe('the cursor of a heatmap', () => {
  const shape = { rows: 16, columns: 4, origin: 'top' as const }

  it('moves by arrows and stays inside', () => {
    expect(movedCell({ row: 0, column: 0 }, 'ArrowDown', shape)).toEqual({ row: 1, column: 0 })
    expect(movedCell({ row: 0, column: 0 }, 'ArrowUp', shape)).toEqual({ row: 0, column: 0 })
    expect(movedCell({ row: 3, column: 3 }, 'ArrowRight', shape)).toEqual({ row: 3, column: 3 })
    expect(movedCell({ row: 3, column: 3 }, 'Home', shape)).toEqual({ row: 3, column: 0 })
    expect(movedCell({ row: 3, column: 3 }, 'PageDown', shape)).toEqual({ row: 5, column: 3 })
    expect(movedCell({ row: 3, column: 3 }, 'x', shape)).toBeNull()
  })

  it('goes up on the screen also where row 0 is at the bottom', () => {
    expect(movedCell({ row: 2, column: 0 }, 'ArrowUp', { ...shape, origin: 'bottom' })).toEqual({
      row: 3,
      column: 0,
    })
  })

  it('starts at the selection, says where it is, and selects and pins by key', async () => {
    const chart = mount(HeatmapChart, {
      props: { ...spec(), selected: { row: 1, column: 1 }, label: 'Lens' },
    })
    const grid = chart.get('[role=application]')
    expect(grid.attributes('aria-label')).toContain('2 rows, 3 columns')
    await grid.trigger('focus')
    await grid.trigger('keydown', { key: 'ArrowRight' })
    expect(chart.get('[aria-live]').text()).toBe('layer b, position z; probability 0.75')
    await grid.trigger('keydown', { key: 'Enter' })
    await grid.trigger('keydown', { key: 'ArrowUp' })
    await grid.trigger('keydown', { key: 'p' })
    expect(chart.emitted('select')).toEqual([[{ row: 1, column: 2 }]])
    expect(chart.emitted('pin')).toEqual([[{ row: 0, column: 2 }]])
  })

  it('says that a cell has no value', async () => {
    const chart = mount(HeatmapChart, {
      props: { ...spec(), selected: { row: 1, column: 0 }, label: 'Lens' },
    })
    await chart.get('[role=application]').trigger('focus')
    expect(chart.get('[aria-live]').text()).toContain('no value here')
  })
})
