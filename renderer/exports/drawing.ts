/** Pictures drawn with our own strokes as files: all of them, also what is out of sight. */
import type { Ref } from 'vue'
import { exportFile, type PictureFile } from '../charts/export'
import { canvasStrokes, svgStrokes, type Strokes } from '../charts/strokes'
import type { ChartTheme } from '../charts/theme'
import type { ExportAction } from '../stores/inspector'
import { saveExport } from './provenance'

export interface Drawing {
  /** In CSS pixels. */
  width: number
  height: number
  draw: (strokes: Strokes, theme: ChartTheme) => void
}

/** Chromium draws no larger canvas than this on a side. */
const longestSide = 32_000

/** The drawing as SVG text on the theme's surface. */
export function drawingSvg({ width, height, draw }: Drawing, theme: ChartTheme): string {
  const { strokes, text } = svgStrokes(theme)
  draw(strokes, theme)
  return text(width, height)
}

export const drawingSvgFile = (drawing: Drawing, theme: ChartTheme, name: string): PictureFile =>
  exportFile(name, 'svg', new TextEncoder().encode(drawingSvg(drawing, theme)))

/**
 * The drawing as PNG, with two pixels for each CSS pixel where that can be drawn.
 * @throws Error where the window has no canvas, or none so large
 */
export async function drawingPngFile(
  { width, height, draw }: Drawing,
  theme: ChartTheme,
  name: string,
): Promise<PictureFile> {
  const scale = Math.min(2, longestSide / Math.max(width, height))
  const canvas = document.createElement('canvas')
  canvas.width = Math.floor(width * scale)
  canvas.height = Math.floor(height * scale)
  const context = canvas.getContext('2d')
  if (context === null) throw new Error('This window has no canvas to draw on.')
  context.scale(scale, scale)
  context.fillStyle = theme.surface
  context.fillRect(0, 0, width, height)
  draw(canvasStrokes(context, theme), theme)
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/png'))
  if (blob === null) throw new Error('The picture is too large to be drawn.')
  return exportFile(name, 'png', new Uint8Array(await blob.arrayBuffer()))
}

/**
 * The export menu of a drawing.
 * @param drawing asked for at the click; what is not there (yet) exports nothing
 * @param name of the file, without extension
 */
export function drawingExports(
  drawing: () => Drawing | null,
  name: () => string,
  theme: Readonly<Ref<ChartTheme>>,
): ExportAction[] {
  return [
    {
      id: 'png',
      label: 'PNG picture',
      run: async () => {
        const present = drawing()
        if (present !== null) await saveExport(await drawingPngFile(present, theme.value, name()))
      },
    },
    {
      id: 'svg',
      label: 'SVG drawing',
      run: async () => {
        const present = drawing()
        if (present !== null) await saveExport(drawingSvgFile(present, theme.value, name()))
      },
    },
  ]
}
