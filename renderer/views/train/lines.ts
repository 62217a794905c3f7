/** Texts as they are written into a form: one a line, empty lines left out. */
export const linesOf = (text: string): string[] => text.split(/\r?\n/).filter((line) => line.trim() !== '')
