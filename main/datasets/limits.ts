/** Sizes beyond which a source is refused, so that a hostile or mistaken file costs bounded memory. */

/** Bytes of one row of text: a line, a CSV record, an element of a JSON array, a paragraph, a file of a folder. */
export const largestRow = 32 * 2 ** 20
/** Bytes of a file that is one row. */
export const largestDocument = 64 * 2 ** 20
/** Columns of a row. */
export const mostColumns = 10_000
/** Files of a folder, and folders below each other. */
export const mostFiles = 100_000
export const deepestFolder = 32
/** Bytes that a file is read at once. */
export const chunkBytes = 256 * 2 ** 10
/** Bytes of a Parquet page, or of an Arrow record batch. */
export const largestBlock = 512 * 2 ** 20
/** Bytes, before compression, of the Parquet rows that are decoded together. */
export const decodedTogether = 48 * 2 ** 20
