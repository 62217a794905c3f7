/** What the commands write: text for people that no hostile token can turn into terminal control, and files written whole. */
import type { PatchbayError } from '../../preload/errors'
import { displayText } from '../../preload/token-text'
import { encodeSafetensors, type SafetensorsInput } from '../models/formats/safetensors'
import { writeWhole } from '../files/durable-file'

/** Model output for a terminal: control and bidi characters escaped, line breaks and tabs kept. */
export const forTerminal = (text: string): string =>
  text
    .split(/(\n|\t)/)
    .map((part) => (part === '\n' || part === '\t' ? part : displayText(part, { spaces: false })))
    .join('')

/** Prints an error as a person should see it: what, where, what to do. */
export function printError(error: PatchbayError): void {
  const place = [error.file, error.field, error.offset === undefined ? undefined : `byte ${error.offset}`]
    .filter((part) => part !== undefined)
    .join(', ')
  console.error(`patchbay: ${forTerminal(error.message)}${place === '' ? '' : ` [${forTerminal(place)}]`}`)
  if (error.next !== undefined) console.error(`  → ${forTerminal(error.next)}`)
  if (error.code === 'internal' && error.cause instanceof Error) console.error(error.cause.stack)
}

/** Writes named tensors as one safetensors file, whole or not at all. */
export async function writeTensors(
  file: string,
  tensors: readonly SafetensorsInput[],
  metadata: Record<string, string>,
): Promise<void> {
  const bytes = encodeSafetensors(tensors, metadata)
  await writeWhole(file, bytes)
}
