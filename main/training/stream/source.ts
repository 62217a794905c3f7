/** Activations as a stream: chunks of rows, one after the other, never all at once. */

export interface ActivationChunk {
  readonly rows: number
  /** [rows, d_in] */
  readonly x: Float32Array
  /** [rows, d_out], for transcoders: what belongs to the same tokens at the output's hook point. */
  readonly y?: Float32Array
}

export interface ActivationSource {
  readonly dIn: number
  /** Null where only one hook point is read. */
  readonly dOut: number | null
  /** The chunks behind the first `skip`; the same ones each time it is asked. */
  chunks(skip: number): AsyncIterable<ActivationChunk>
}
