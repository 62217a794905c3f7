/** Of Vite's `import.meta`, the one part that is used here: all modules of a pattern, imported when the bundle is made. */
interface ImportMeta {
  glob(
    patterns: string | readonly string[],
    options: { eager: true },
  ): Record<string, Record<string, unknown>>
}
