/** What processes leave behind that died or failed while they wrote. */
import { readdirSync } from 'node:fs'
import path from 'node:path'

/** Partial files and locks anywhere below a folder, relative to it. */
export const temporaryFiles = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => {
      const name = path.basename(file)
      return name.startsWith('.') || /\.(partial|lock|breaking|takeover|tmp)$|^owner\.json/.test(name)
    })
    .sort()
