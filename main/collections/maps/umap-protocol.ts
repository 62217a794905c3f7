/** The call of the thread that computes UMAP. */

export interface UmapInput {
  /** [rows, width] */
  points: Float32Array
  width: number
  neighbours: number
  minDistance: number
  seed: number
}

export interface UmapCalls {
  /** Points on a plane [rows, 2]; progress is the share of epochs that are done. */
  umap: { input: UmapInput; output: Float32Array }
}
