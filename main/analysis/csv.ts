/** CSV that a spreadsheet can open without running anything: text out of a model or a prompt is never a formula. */

import { certificateText } from '../../preload/certificate'
import type { Provenance } from '../../preload/run'

/**
 * One text cell, RFC 4180. What a spreadsheet would take for a formula (a first visible character = + - @, or a leading tab
 * or carriage return) gets an apostrophe before it, which shows it as text.
 */
export function textCell(text: string): string {
  const inert = /^\s*[=+\-@＝＋－＠]|^[\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert
}

/** A float32 with the nine digits that bring it back exactly; `nan`, `inf` and `-inf` as numpy and pandas read them. */
export function numberCell(value: number): string {
  if (Number.isFinite(value)) return String(Number(value.toPrecision(9)))
  return Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf'
}

/** The first line of a table: what it holds, of which model, computed on what, by which request. */
export function provenanceCell(what: string, provenance: Provenance): string {
  const { modelName, fingerprint, precision, provider, requestHash, patchbay, certificate } = provenance
  return textCell(
    `# ${what} of ${modelName} (${fingerprint}), ${precision} on ${provider} (${certificateText(certificate)}), request ${requestHash}, Patchbay ${patchbay}`,
  )
}
