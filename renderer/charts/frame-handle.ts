/** What a chart may ask of the frame that it is drawn in; see ChartFrame. */
import type { Size } from './echarts'
import type { ChartSource } from './export'

export interface FrameHandle {
  source: ChartSource
  size: Size
  /** Category indices [x, y] under a point in px; null outside of the plot or before it is drawn. */
  cellAt: (x: number, y: number) => [number, number] | null
  /** Values on both axes at a point in px, also outside of the plot; null before it is drawn. */
  valueAt: (x: number, y: number) => [number, number] | null
  /** The point in px of values on both axes; null before it is drawn. */
  pixelOf: (x: number, y: number) => [number, number] | null
}
