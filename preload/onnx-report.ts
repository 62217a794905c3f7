/**
 * What was recognised in an ONNX file that somebody else exported: shown before anything runs. What was not found is
 * listed with its reason; any value of the graph can still be captured and changed by its own name (`value:NAME`).
 */
import { z } from 'zod'

export const graphInputRoles = ['tokens', 'attention mask', 'positions', 'past keys', 'past values'] as const

/** A shape in the graph's own symbols and numbers: `[batch_size, sequence_length, 32]`. */
const shapeText = z.string()

export const graphInput = z.object({
  name: z.string(),
  type: z.string().nullable(),
  shape: shapeText,
  role: z.enum(graphInputRoles),
})
export type GraphInput = z.infer<typeof graphInput>

export const recognisedHook = z.object({
  /** Canonical hook name. */
  hook: z.string(),
  layer: z.number().int().nullable(),
  /** The graph's own name of the value. */
  value: z.string(),
  shape: shapeText,
  /** Whether it is transposed or reshaped on the way out to have the hook point's shape. */
  rearranged: z.boolean(),
})
export type RecognisedHook = z.infer<typeof recognisedHook>

export const missingPart = z.object({
  /** A hook point's name, or a group of them. */
  what: z.string(),
  reason: z.string(),
})
export type MissingPart = z.infer<typeof missingPart>

/** A value that a node of the graph computes, in order of computation. */
export const graphValue = z.object({
  name: z.string(),
  /** Operator that makes it. */
  operator: z.string(),
  type: z.string().nullable(),
  shape: shapeText,
  /** Recognised hook points at this value. */
  hooks: z.array(z.string()),
})
export type GraphValue = z.infer<typeof graphValue>

export const onnxReport = z.object({
  producer: z.string(),
  /** `ai.onnx 18, com.microsoft 1` */
  operatorSets: z.string(),
  nodes: z.number().int(),
  weights: z.number().int(),
  inputs: z.array(graphInput),
  /** Null where no residual stream was found: then only raw values can be used. */
  decoder: z
    .object({
      layers: z.number().int(),
      dModel: z.number().int(),
      heads: z.number().int().nullable(),
      kvHeads: z.number().int().nullable(),
      dHead: z.number().int().nullable(),
      dMlp: z.number().int().nullable(),
    })
    .nullable(),
  vocab: z.number().int(),
  contextLength: z.number().int(),
  /** Where that number comes from: the graph's table of positions, config.json, or nowhere. */
  contextSource: z.enum(['table', 'config', 'unstated']),
  hooks: z.array(recognisedHook),
  missing: z.array(missingPart),
  /** Why the graph is run in one piece; null where it was cut into blocks at the residual stream. */
  whole: z.string().nullable(),
  /** How it generates: on kept keys and values, or by computing all positions again for each token. */
  generation: z.enum(['cache', 'recompute']),
  /** Every value that can be captured and changed by its own name. */
  values: z.array(graphValue),
})
export type OnnxReport = z.infer<typeof onnxReport>
