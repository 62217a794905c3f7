/**
 * Bridges the custom properties of theme.css to the charts, which paint on canvas and know no CSS. One shared, live value:
 * it changes when the theme of the document or of the system does.
 */
import { shallowRef, type Ref } from 'vue'
import type { ColourMapName } from './scales'

export interface ChartTheme {
  dark: boolean
  surface: string
  /** Cells without a value, and the stripes on them. */
  blank: string
  stripe: string
  text: string
  muted: string
  line: string
  accent: string
  pin: string
  left: string
  right: string
  sans: string
  mono: string
  /** Text sizes in px. */
  small: number
  normal: number
  diverging: Extract<ColourMapName, 'vik' | 'berlin'>
  /** Categorical colours: Okabe & Ito (2008), lightened or darkened for contrast with the surface. */
  series: readonly string[]
}

const lightSeries = ['#0068a8', '#c25400', '#00805f', '#a2478b', '#8a6d00', '#2a8bbd', '#555b66', '#7a3b1d']
const darkSeries = ['#56b4e9', '#f0924f', '#2fbf94', '#dd8fc3', '#e3c64a', '#86d0ff', '#b4bac4', '#d9a080']

/** The theme from CSS custom properties; a property that is missing takes the light theme's value. */
export function readTheme(element: Element): ChartTheme {
  const style = getComputedStyle(element)
  const get = (name: string, otherwise: string) => style.getPropertyValue(name).trim() || otherwise
  // ECharts writes font families into SVG attributes as they are: with double quotes no file would be well-formed.
  const family = (name: string, otherwise: string) => get(name, otherwise).replaceAll('"', "'")
  const px = (name: string, otherwise: number) => {
    const size = Number.parseFloat(style.getPropertyValue(name))
    return Number.isFinite(size) && size > 0 ? size : otherwise
  }
  const dark =
    style.getPropertyValue('color-scheme').trim() === 'dark' || element.getAttribute('data-theme') === 'dark'
  return {
    dark,
    surface: get('--surface-1', '#ffffff'),
    blank: get('--surface-2', '#eceef0'),
    stripe: get('--line-strong', '#858c98'),
    text: get('--text-1', '#1b1e23'),
    muted: get('--text-2', '#474d57'),
    line: get('--line', '#d9dce1'),
    accent: get('--accent', '#a2470b'),
    pin: get('--pin', '#2a5bbf'),
    left: get('--side-left', '#1d62a8'),
    right: get('--side-right', '#a8324a'),
    sans: family('--font-sans', 'system-ui, sans-serif'),
    mono: family('--font-mono', 'monospace'),
    small: px('--text-xs', 11),
    normal: px('--text-sm', 12),
    diverging: dark ? 'berlin' : 'vik',
    series: dark ? darkSeries : lightSeries,
  }
}

let shared: Ref<ChartTheme> | null = null

/** The document's chart theme, kept up to date for as long as the window lives. */
export function useChartTheme(): Readonly<Ref<ChartTheme>> {
  if (shared === null) {
    const root = document.documentElement
    const theme = shallowRef(readTheme(root))
    const update = () => {
      theme.value = readTheme(root)
    }
    new MutationObserver(update).observe(root, {
      attributes: true,
      attributeFilter: ['data-theme', 'class', 'style'],
    })
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', update)
    shared = theme
  }
  return shared
}
