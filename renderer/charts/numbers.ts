/** Numbers as people read them on axes, in tooltips and tables; exports keep the full value instead. */

const withMinus = (text: string): string => text.replace('-', '−').replace('e+', 'e').replace('e-', 'e−')

/** About `digits` significant digits: `0.0132`, `1.24e−5`, `12,300`, `−∞`, `NaN`. */
export function formatNumber(value: number, digits = 3): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '−∞'
  if (value === 0) return '0'
  const size = Math.abs(value)
  if (size < 1e-3 || size >= 1e6) return withMinus(trimZeros(value.toExponential(digits - 1)))
  if (size >= 10 ** digits) return withMinus(Math.round(value).toLocaleString('en-US'))
  return withMinus(trimZeros(value.toPrecision(digits)))
}

const trimZeros = (text: string): string => text.replace(/(\.\d*?)0+(?=e|$)/, '$1').replace(/\.(?=e|$)/, '')

/** A probability in percent: `63.2 %`, `0.42 %`, `< 0.01 %`. */
export function formatProbability(probability: number): string {
  if (!Number.isFinite(probability)) return formatNumber(probability)
  const percent = 100 * probability
  if (percent === 0) return '0 %'
  if (percent < 0.01) return '< 0.01 %'
  return `${percent >= 99.995 ? '100' : percent.toFixed(percent < 1 ? 2 : 1)} %`
}

/** A signed difference with its sign always shown: `+0.12`, `−3.4`. */
export const formatSigned = (value: number, digits = 3): string =>
  value > 0 ? `+${formatNumber(value, digits)}` : formatNumber(value, digits)

/** A size in bytes, in powers of 1024: `1.37 MiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let size = bytes
  let unit = 0
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024
    unit++
  }
  // Three digits, but never an exponent: 1,023 MiB.
  const text = unit === 0 || size >= 1000 ? String(Math.round(size)) : size.toPrecision(3)
  return `${text} ${units[unit]}`
}

/** A count with thousands separators. */
export const formatCount = (count: number): string => count.toLocaleString('en-US')
