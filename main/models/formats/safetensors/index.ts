/** The safetensors format, for reading and writing. */
export { decodeSafetensors, float32Of, type DecodedTensor } from './bytes'
export { SafetensorsFile } from './file'
export {
  encodeSafetensors,
  safetensorsHeader,
  safetensorsSize,
  writeSafetensors,
  type SafetensorsInput,
  type SafetensorsMetadata,
  type SafetensorsWriteOptions,
} from './write'
