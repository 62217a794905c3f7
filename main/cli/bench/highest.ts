/** The highest memory that a process had so far. */
import { readFile } from 'node:fs/promises'

/** Highest resident memory of this process in KiB. Linux counts into `maxRSS` what the process was forked from. */
export async function highest(): Promise<number> {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '')
  const own = /^VmHWM:\s+(\d+) kB$/m.exec(status)
  return own === null ? process.resourceUsage().maxRSS : Number(own[1])
}
