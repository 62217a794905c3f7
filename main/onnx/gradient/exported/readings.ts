/** Which operators of exported graphs can be differentiated, and as what. */
import type { OnnxNode } from '../../exported/model'
import { elementwise } from './elementwise'
import { fused } from './fused'
import { quantised } from './quantised'
import type { Reading } from './reading'
import { tensors } from './tensors'

const all: ReadonlyMap<string, Reading> = new Map(
  Object.entries({ ...elementwise, ...tensors, ...fused, ...quantised }),
)

/** ONNX's own operators and ONNX Runtime's, which share names only where they mean the same. */
export const readingOf = ({ domain, op }: OnnxNode): Reading | null =>
  domain === '' || domain === 'com.microsoft' ? (all.get(op) ?? null) : null

/** Names of the operators that have one. */
export const readOperators: readonly string[] = [...all.keys()].sort()
