/**
 * Reads a weight as float32. Of a tensor that holds many weights (all experts of a layer, fused projections) only the part
 * is read and dequantised that the weight lies in.
 */
import type { Checkpoint } from './formats/checkpoint'
import { decodeFloat32 } from './formats/decode'
import { unitOf } from './formats/storage'
import { applySteps, leadingPart, type Weight } from './weights'

/** @throws PatchbayError `model.incomplete` where the tensor is not there, `file.*` where the file can't be read */
export async function readWeight(checkpoint: Checkpoint, weight: Weight): Promise<Float32Array> {
  const entry = checkpoint.tensors.get(weight.tensor)
  const { offset, length, rest } = leadingPart(weight)
  const unit = entry === undefined ? null : unitOf(entry.storage)
  const whole = rest.steps.length === weight.steps.length
  if (entry === undefined || unit === null || whole || offset % unit.elements || length % unit.elements)
    return applySteps(weight, await checkpoint.readFloat32(weight.tensor))
  const byte = (element: number): number => (element / unit.elements) * unit.bytes
  const bytes = await checkpoint.readRaw(weight.tensor, byte(offset), byte(offset + length))
  const part = new Float32Array(length)
  decodeFloat32(entry.storage, bytes, part)
  return applySteps(rest, part)
}
