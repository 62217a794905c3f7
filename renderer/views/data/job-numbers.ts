/** What an extraction tells while it runs: rows, tokens, tokens a second, each under its name. */
import type { JobRecord } from '../../../preload/jobs'
import { formatBytes, formatNumber } from '../../charts/numbers'

export const progressWords = ({ progress }: JobRecord): { label: string; value: string }[] =>
  Object.entries(progress?.numbers ?? {}).map(([name, value]) => {
    const words = name
      .replaceAll('_', ' ')
      .replace(/([a-z])([A-Z])/g, (_, a: string, b: string) => `${a} ${b.toLowerCase()}`)
    return {
      label: words.replace(/ (?:per|a) second$/, '/s').replace(/^./, (letter) => letter.toUpperCase()),
      value: /bytes/i.test(name) ? formatBytes(value) : formatNumber(value),
    }
  })
