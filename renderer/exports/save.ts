/** Saving what a panel shows: the shell asks where and writes; afterwards a word that it is done, or why not. */
import type { FileFilter } from '../../preload/shell'
import { shellError } from '../../preload/shell'
import { services } from '../services'
import { useNotices } from '../stores/notices'

/** A file to be saved; see charts/export.ts for what makes them. */
export interface SavedFile {
  suggestedName: string
  bytes: Uint8Array
  filters: FileFilter[]
  /** Written into a JSON file beside it: where its numbers come from. */
  beside?: Uint8Array
}

/** Asks where to, saves, and says so. Errors are shown here; a closed dialog is no error. */
export async function saveFile(file: SavedFile): Promise<void> {
  const notices = useNotices()
  try {
    const saved = await services().shell.saveFile(file)
    if (saved !== null) notices.done(`Saved as ${saved.path}.`)
  } catch (thrown) {
    notices.report(shellError(thrown))
  }
}

/** Puts text on the clipboard and says so. */
export async function copyText(text: string, what: string): Promise<void> {
  const notices = useNotices()
  try {
    await services().shell.writeClipboard(text)
    notices.done(`${what} copied.`)
  } catch (thrown) {
    notices.report(shellError(thrown))
  }
}
