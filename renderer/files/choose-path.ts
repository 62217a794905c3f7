/** A path through the shell's dialogs. */
import { shellError, type PathKind } from '../../preload/shell'
import { services } from '../services'

/** Null where the dialog was closed. @throws PatchbayError what the shell says */
export async function chosenPath(kind: PathKind): Promise<string | null> {
  return services()
    .shell.choosePath(kind)
    .catch((thrown: unknown) => {
      throw shellError(thrown)
    })
}

/** Last part of a path, of either system. */
export const fileName = (path: string): string => path.split(/[\\/]/).findLast((part) => part !== '') ?? path

/** A name in a folder, as that folder's system writes paths. */
export function pathIn(folder: string, name: string): string {
  const separator = folder.includes('\\') && !folder.startsWith('/') ? '\\' : '/'
  return folder.endsWith(separator) ? folder + name : folder + separator + name
}
