/**
 * Gives the memory of arrays back at once instead of when the garbage collector comes: what a run leaves behind is
 * megabytes, which V8 hardly sees, in pieces that keep the heap from shrinking.
 */
import type { Tensor as OrtTensor } from 'onnxruntime-node'
import { MessageChannel } from 'node:worker_threads'

// A message to a port that is closed is dropped, with what was moved into it.
const { port1: nowhere, port2 } = new MessageChannel()
port2.close()
nowhere.close()

/** Arrays of which nothing may be read any more: they are empty afterwards. */
export function giveBack(arrays: readonly OrtTensor['data'][]): void {
  const buffers = arrays.flatMap((array) =>
    ArrayBuffer.isView(array) && array.buffer instanceof ArrayBuffer && array.byteLength > 0
      ? [array.buffer]
      : [],
  )
  if (buffers.length > 0) nowhere.postMessage(null, [...new Set(buffers)])
}
