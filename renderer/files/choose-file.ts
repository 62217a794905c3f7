/** A file that a form takes texts from, through the shell's dialog. */
import { shellError } from '../../preload/shell'
import { services } from '../services'

const mostBytes = 32 * 2 ** 20

/** Null where the dialog was closed. @throws PatchbayError for a file that can not be read or is too large */
export async function chosenFile(
  name: string,
  extensions: string[],
): Promise<{ name: string; bytes: Uint8Array } | null> {
  return services()
    .shell.openFile({ filters: [{ name, extensions }], maxBytes: mostBytes })
    .catch((thrown: unknown) => {
      throw shellError(thrown)
    })
}
