/** The logit lens as files: pictures of all of it, also of what is out of sight, and its numbers. */
import type { EncodedToken } from '../../../preload/prompt'
import type { LensMap } from '../../../preload/views'
import { csvFile, safeName } from '../../charts/export'
import type { PictureFile } from '../../charts/export'
import type { ChartTheme } from '../../charts/theme'
import { tokenText } from '../../components/token-label'
import { saveFile } from '../../exports/save'
import type { ExportAction } from '../../stores/inspector'
import { lensToken } from './lens-data'
import type { LensPicture } from './lens-data'
import { paintLens, pictureSize } from './lens-paint'
import type { LensLayout } from './lens-paint'
import { canvasStrokes, svgStrokes } from './lens-strokes'

const layout: LensLayout = { left: 60, top: 24, cellWidth: 72, cellHeight: 24 }
const noMarks = { selected: null, pinned: null }
/** Chromium draws no larger canvas than this on a side. */
const longestSide = 32_000

const name = (lens: LensMap) => safeName(`logit-lens-${lens.evidence.provenance.modelName}`)

export function lensSvg(picture: LensPicture, theme: ChartTheme): string {
  const { width, height } = pictureSize(picture, layout)
  const { strokes, text } = svgStrokes(theme)
  paintLens(strokes, picture, layout, noMarks, { x: 0, y: 0, width, height }, theme)
  return text(width, height)
}

async function lensPng(picture: LensPicture, theme: ChartTheme): Promise<Uint8Array> {
  const { width, height } = pictureSize(picture, layout)
  const scale = Math.min(2, longestSide / Math.max(width, height))
  const canvas = document.createElement('canvas')
  canvas.width = Math.floor(width * scale)
  canvas.height = Math.floor(height * scale)
  const context = canvas.getContext('2d')
  if (context === null) throw new Error('This window has no canvas to draw on.')
  context.scale(scale, scale)
  context.fillStyle = theme.surface
  context.fillRect(0, 0, width, height)
  paintLens(canvasStrokes(context, theme), picture, layout, noMarks, { x: 0, y: 0, width, height }, theme)
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/png'))
  if (blob === null) throw new Error('The picture is too large to be drawn.')
  return new Uint8Array(await blob.arrayBuffer())
}

/** One row per cell, with everything the lens says about it. */
export function lensCsv(lens: LensMap, tokens: readonly EncodedToken[]): PictureFile {
  const [points, positions] = lens.topIds.shape
  const cells = Array.from({ length: points * positions }, (_, cell) => cell)
  const header = ['hook', 'position', 'token', 'top id', 'top token', 'top probability', 'entropy']
  return csvFile(
    {
      header: [...header, 'final rank', 'final probability'],
      rows: cells.map((cell) => {
        const position = cell % positions
        const id = lens.topIds.data[cell]
        return [
          lens.points[Math.floor(cell / positions)],
          position,
          position < tokens.length ? tokenText(tokens[position]) : '',
          id,
          tokenText(lensToken(lens, id)),
          lens.topProbabilities.data[cell],
          lens.entropies.data[cell],
          lens.finalRanks.data[cell],
          lens.finalProbabilities.data[cell],
        ]
      }),
    },
    name(lens),
  )
}

export function lensExports(
  lens: LensMap,
  tokens: readonly EncodedToken[],
  picture: LensPicture,
  theme: ChartTheme,
): ExportAction[] {
  const file = (extension: string, kind: string, bytes: Uint8Array) => ({
    suggestedName: `${name(lens)}.${extension}`,
    bytes,
    filters: [{ name: kind, extensions: [extension] }],
  })
  return [
    {
      id: 'png',
      label: 'PNG picture',
      run: async () => saveFile(file('png', 'PNG picture', await lensPng(picture, theme))),
    },
    {
      id: 'svg',
      label: 'SVG drawing',
      run: () => saveFile(file('svg', 'SVG drawing', new TextEncoder().encode(lensSvg(picture, theme)))),
    },
    { id: 'csv', label: 'CSV table', run: () => saveFile(lensCsv(lens, tokens)) },
  ]
}
