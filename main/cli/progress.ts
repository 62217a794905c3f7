/** One line of progress with an ETA on stderr, where that is a terminal; nothing otherwise, so that logs stay clean. */

export interface ProgressLine {
  /** @param fraction 0 to 1 */
  show(text: string, fraction: number): void
  clear(): void
}

export function progressLine(stream: NodeJS.WriteStream = process.stderr): ProgressLine {
  if (!stream.isTTY) return { show: () => undefined, clear: () => undefined }
  const start = Date.now()
  return {
    show(text, fraction) {
      const seconds = (Date.now() - start) / 1000
      const left = fraction > 0.02 && seconds > 1 ? `, ${Math.ceil(seconds / fraction - seconds)} s left` : ''
      const line = `${Math.floor(fraction * 100)} % ${text}${left}`
      stream.write(`\r\x1b[2K${line.slice(0, Math.max(20, stream.columns - 1))}`)
    },
    clear() {
      stream.write('\r\x1b[2K')
    },
  }
}
