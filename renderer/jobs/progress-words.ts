/** What a job tells while it runs (loss, rows, tokens a second), each number under its name. */
import type { JobRecord } from '../../preload/jobs'
import { formatBytes, formatNumber } from '../charts/numbers'

/** @param wanted which of the numbers, by name */
export const progressWords = (
  { progress }: JobRecord,
  wanted: (name: string) => boolean = () => true,
): { label: string; value: string }[] =>
  Object.entries(progress?.numbers ?? {}).flatMap(([name, value]) => {
    if (!wanted(name)) return []
    const words = name
      .replaceAll('_', ' ')
      .replace(/([a-z])([A-Z])/g, (_, a: string, b: string) => `${a} ${b.toLowerCase()}`)
    return {
      label: words.replace(/ (?:per|a) second$/, '/s').replace(/^./, (letter) => letter.toUpperCase()),
      value: /bytes/i.test(name) ? formatBytes(value) : formatNumber(value),
    }
  })
