/** HTML by a template: everything that is put in is text, unless this module made it. */

/** Markup that this module made. */
export class Html {
  constructor(readonly text: string) {}
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

export const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => entities[character])

export type Content = string | number | Html | readonly Html[]

/** Template literals are ours; values become text that no tag or attribute can be made with. */
export function html(parts: TemplateStringsArray, ...values: readonly Content[]): Html {
  return new Html(parts.map((part, i) => (i === 0 ? '' : textOf(values[i - 1])) + part).join(''))
}

function textOf(value: Content): string {
  if (value instanceof Html) return value.text
  if (typeof value === 'string') return escaped(value)
  return typeof value === 'number' ? String(value) : value.map(({ text }) => text).join('')
}
