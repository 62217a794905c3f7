/** Typed access to the attributes of a node, by name. One that is absent, or of another type, is null. */
import { AttributeProto_AttributeType as AttributeType, type AttributeProto } from '../proto/onnx_pb'
import type { OnnxNode } from './model'

const find = (node: OnnxNode, name: string, type: AttributeType): AttributeProto | null =>
  node.attributes.find((attribute) => attribute.name === name && attribute.type === type) ?? null

export function integerOf(node: OnnxNode, name: string): number | null {
  const found = find(node, name, AttributeType.INT)
  return found === null ? null : Number(found.i)
}

export function integersOf(node: OnnxNode, name: string): number[] | null {
  const found = find(node, name, AttributeType.INTS)
  return found === null ? null : found.ints.map(Number)
}

export const floatOf = (node: OnnxNode, name: string): number | null =>
  find(node, name, AttributeType.FLOAT)?.f ?? null

export function textOf(node: OnnxNode, name: string): string | null {
  const found = find(node, name, AttributeType.STRING)
  return found === null ? null : new TextDecoder().decode(found.s)
}

export const tensorOf = (node: OnnxNode, name: string): AttributeProto['t'] | null =>
  find(node, name, AttributeType.TENSOR)?.t ?? null
