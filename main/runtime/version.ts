/** Which ONNX Runtime computes; every certificate states it. */
import { env } from 'onnxruntime-node'

export const onnxruntimeVersion: string = env.versions.node ?? env.versions.common
