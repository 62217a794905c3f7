/** Paints large grids of values straight into pixels: where there are too many cells to be shapes of their own. */
import { fractionIn, type Domain } from './domains'
import { colourTable, tableIndex, type ColourMapName } from './scales'

/** A grid of values, row-major [rows, columns]. */
export interface Grid {
  values: ArrayLike<number>
  rows: number
  columns: number
}

/** The grid as RGBA bytes [rows, columns, 4], first row first; NaN cells are transparent. */
export function cellPixels(grid: Grid, domain: Domain, map: ColourMapName): Uint8ClampedArray<ArrayBuffer> {
  const table = colourTable(map)
  const pixels = new Uint8ClampedArray(grid.rows * grid.columns * 4)
  for (let i = 0; i < grid.rows * grid.columns; i++) {
    const fraction = fractionIn(domain, grid.values[i])
    if (Number.isNaN(fraction)) continue
    const at = 3 * tableIndex(fraction)
    pixels[4 * i] = table[at]
    pixels[4 * i + 1] = table[at + 1]
    pixels[4 * i + 2] = table[at + 2]
    pixels[4 * i + 3] = 255
  }
  return pixels
}

/**
 * The grid on a canvas, one pixel a cell; to be scaled up without smoothing.
 * @returns null where the platform has no 2-D canvas
 */
export function cellImage(grid: Grid, domain: Domain, map: ColourMapName): HTMLCanvasElement | null {
  const canvas = document.createElement('canvas')
  canvas.width = grid.columns
  canvas.height = grid.rows
  const context = canvas.getContext('2d')
  if (context === null) return null
  context.putImageData(new ImageData(cellPixels(grid, domain, map), grid.columns, grid.rows), 0, 0)
  return canvas
}

/** The same scaled to `width` × `height` device pixels, cell edges sharp. */
export function scaledCellImage(
  grid: Grid,
  domain: Domain,
  map: ColourMapName,
  width: number,
  height: number,
): HTMLCanvasElement | null {
  const small = cellImage(grid, domain, map)
  const canvas = document.createElement('canvas')
  canvas.width = Math.max(1, Math.round(width))
  canvas.height = Math.max(1, Math.round(height))
  const context = canvas.getContext('2d')
  if (small === null || context === null) return null
  // Where cells are smaller than pixels, averaging is truer than picking every n-th.
  context.imageSmoothingEnabled = canvas.width < grid.columns || canvas.height < grid.rows
  context.drawImage(small, 0, 0, canvas.width, canvas.height)
  return canvas
}
