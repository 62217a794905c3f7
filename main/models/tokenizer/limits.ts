/** Sizes beyond which text and tokenizer files are refused, so that what comes after them stays bounded. */

/** Longest text to encode, rendered prompt, or string inside a chat template, in UTF-16 units. */
export const longestText = 4_194_304
/** Longest chat template, in UTF-16 units; real ones stay below 100 kB. */
export const longestTemplate = 1_048_576
/** Largest tokenizer.json in bytes; the largest in use (256k tokens) has 35 MB. */
export const largestTokenizerFile = 96 * 1024 * 1024
/** Largest of the small JSON files and templates beside it, in bytes. */
export const largestSideFile = 8 * 1024 * 1024
/** Longest regular expression of a tokenizer, in characters. */
export const longestPattern = 65_536
