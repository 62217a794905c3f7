/** The few strokes that pictures of our own are drawn with, and the two hands that draw them: on a canvas, and as SVG text. */
import type { ChartTheme } from './theme'

export interface Strokes {
  rect: (x: number, y: number, width: number, height: number, fill: string) => void
  outline: (
    x: number,
    y: number,
    width: number,
    height: number,
    colour: string,
    line: number,
    dashed: boolean,
  ) => void
  text: (
    x: number,
    y: number,
    text: string,
    colour: string,
    align: 'start' | 'middle' | 'end',
    bold: boolean,
  ) => void
  /** An SVG path, not filled. */
  path: (d: string, colour: string, line: number, opacity: number) => void
  /** What `draw` draws is cut to the rectangle. */
  clip: (x: number, y: number, width: number, height: number, draw: () => void) => void
}

export function canvasStrokes(context: CanvasRenderingContext2D, theme: ChartTheme): Strokes {
  const font = `${theme.small}px ${theme.mono}`
  context.textBaseline = 'middle'
  return {
    rect(x, y, width, height, fill) {
      context.fillStyle = fill
      context.fillRect(x, y, width, height)
    },
    outline(x, y, width, height, colour, line, dashed) {
      context.strokeStyle = colour
      context.lineWidth = line
      context.setLineDash(dashed ? [4, 3] : [])
      context.strokeRect(x, y, width, height)
    },
    text(x, y, text, colour, align, bold) {
      context.font = bold ? `bold ${font}` : font
      context.fillStyle = colour
      context.textAlign = align === 'middle' ? 'center' : align
      context.fillText(text, x, y)
    },
    path(d, colour, line, opacity) {
      context.save()
      context.strokeStyle = colour
      context.lineWidth = line
      context.globalAlpha = opacity
      context.setLineDash([])
      context.stroke(new Path2D(d))
      context.restore()
    },
    clip(x, y, width, height, draw) {
      context.save()
      context.beginPath()
      context.rect(x, y, width, height)
      context.clip()
      draw()
      context.restore()
    },
  }
}

const entities: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}
/** Text for XML. Labels hold no control characters (see components/token-label), which XML could not hold at all. */
const xml = (text: string): string => text.replace(/[&<>"']/g, (character) => entities[character])

export function svgStrokes(theme: ChartTheme): {
  strokes: Strokes
  text: (width: number, height: number) => string
} {
  const parts: string[] = []
  let clips = 0
  const box = (x: number, y: number, width: number, height: number) =>
    `x="${x}" y="${y}" width="${width}" height="${height}"`
  const strokes: Strokes = {
    rect(x, y, width, height, fill) {
      parts.push(`<rect ${box(x, y, width, height)} fill="${fill}"/>`)
    },
    outline(x, y, width, height, colour, line, dashed) {
      const dashes = dashed ? ' stroke-dasharray="4 3"' : ''
      parts.push(
        `<rect ${box(x, y, width, height)} fill="none" stroke="${colour}" stroke-width="${line}"${dashes}/>`,
      )
    },
    text(x, y, text, colour, align, bold) {
      const weight = bold ? ' font-weight="bold"' : ''
      parts.push(
        `<text x="${x}" y="${y}" fill="${colour}" text-anchor="${align}"${weight}>${xml(text)}</text>`,
      )
    },
    path(d, colour, line, opacity) {
      parts.push(
        `<path d="${d}" fill="none" stroke="${colour}" stroke-width="${line}" stroke-opacity="${opacity}"/>`,
      )
    },
    clip(x, y, width, height, draw) {
      const id = `clip${clips++}`
      parts.push(`<clipPath id="${id}"><rect ${box(x, y, width, height)}/></clipPath>`)
      parts.push(`<g clip-path="url(#${id})">`)
      draw()
      parts.push('</g>')
    },
  }
  return {
    strokes,
    text: (width, height) =>
      `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ` +
      `font-family="${xml(theme.mono)}" font-size="${theme.small}" dominant-baseline="central">` +
      `<rect width="100%" height="100%" fill="${theme.surface}"/>${parts.join('')}</svg>`,
  }
}
