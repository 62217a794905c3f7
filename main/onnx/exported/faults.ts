/**
 * The errors of reading a model that somebody else exported. They know no file: who opened it adds its name. Names out of
 * the model are quoted and cut, since they may be anything.
 */
import { PatchbayError, type ErrorDetails } from '../../../preload/errors'
import { displayText } from '../../../preload/token-text'

/** A name from a model as it may stand in a sentence. */
export const shown = (name: string): string => `“${displayText(name, { spaces: false, longest: 80 })}”`

/** A node as it may stand in a sentence: its operator and, where it has one, its name. */
export const shownNode = (node: { readonly op: string; readonly name: string }): string =>
  node.name === ''
    ? `a node ${shown(node.op)} without a name`
    : `node ${shown(node.name)} (${shown(node.op)})`

/** What breaks the format. @param problem one sentence without its full stop */
export const broken = (problem: string, details: ErrorDetails = {}): PatchbayError =>
  new PatchbayError('file.malformed', `${problem}${at(details)}.`, {
    next: 'The file is damaged or was written wrongly: download or export it again.',
    ...details,
  })

/** What is well formed but not run here. */
export const unsupported = (problem: string, details: ErrorDetails = {}): PatchbayError =>
  new PatchbayError('model.unsupported', `${problem}${at(details)}.`, {
    next: 'Export the model again without it.',
    ...details,
  })

const at = ({ offset }: ErrorDetails): string => (offset === undefined ? '' : ` (byte ${offset})`)
