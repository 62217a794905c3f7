/** The logit lens as files: pictures of all of it, also of what is out of sight, and its numbers. */
import type { Ref } from 'vue'
import type { EncodedToken } from '../../../preload/prompt'
import type { LensMap } from '../../../preload/views'
import { csvFile } from '../../charts/export'
import type { PictureFile } from '../../charts/export'
import type { ChartTheme } from '../../charts/theme'
import { tokenText } from '../../components/token-label'
import { drawingExports, type Drawing } from '../../exports/drawing'
import { saveExport } from '../../exports/provenance'
import type { ExportAction } from '../../stores/inspector'
import { lensToken } from './lens-data'
import type { LensPicture } from './lens-data'
import { paintLens, pictureSize } from './lens-paint'
import type { LensLayout } from './lens-paint'

const layout: LensLayout = { left: 60, top: 24, cellWidth: 72, cellHeight: 24 }
const noMarks = { selected: null, pinned: null }
const name = (lens: LensMap) => `logit-lens-${lens.evidence.provenance.modelName}`

export function lensDrawing(picture: LensPicture): Drawing {
  const { width, height } = pictureSize(picture, layout)
  const sight = { x: 0, y: 0, width, height }
  return {
    width,
    height,
    draw: (strokes, theme) => paintLens(strokes, picture, layout, noMarks, sight, theme),
  }
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

export const lensExports = (
  lens: LensMap,
  tokens: readonly EncodedToken[],
  picture: LensPicture,
  theme: Readonly<Ref<ChartTheme>>,
): ExportAction[] => [
  ...drawingExports(
    () => lensDrawing(picture),
    () => name(lens),
    theme,
  ),
  { id: 'csv', label: 'CSV table', run: () => saveExport(lensCsv(lens, tokens)) },
]
