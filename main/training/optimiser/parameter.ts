/** What is trained: named arrays that are fed to the training graph and updated in place. */

export interface Parameter {
  readonly name: string
  readonly shape: readonly number[]
  /** Row-major; the optimiser writes into it. */
  readonly data: Float32Array
}

/** Gradients by parameter name, each as large as its parameter. */
export type Gradients = ReadonlyMap<string, Float32Array>
