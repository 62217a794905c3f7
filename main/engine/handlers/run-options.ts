/** A call's context as options of a run: blocks done become progress. */
import type { RunOptions } from '../../analysis/subject'

interface BlockContext {
  signal: AbortSignal
  progress: (value: { done: number; total: number }) => void
}

export const runOptions = ({ signal, progress }: BlockContext): RunOptions => ({
  signal,
  onProgress: (done, total) => progress({ done, total }),
})
