/** What an engine might find in a small exported graph. */
import type { OnnxReport } from '../../../preload/onnx-report'

export const onnxReport = (part: Partial<OnnxReport> = {}): OnnxReport => ({
  producer: 'pytorch 2.8.0',
  operatorSets: 'ai.onnx 18',
  nodes: 40,
  weights: 12,
  inputs: [
    { name: 'input_ids', type: 'int64', shape: '[batch, pos]', role: 'tokens' },
    { name: 'past.0.key', type: 'float32', shape: '[batch, 4, past, 8]', role: 'past keys' },
    { name: 'past.1.key', type: 'float32', shape: '[batch, 4, past, 8]', role: 'past keys' },
  ],
  decoder: { layers: 2, dModel: 32, heads: 4, kvHeads: 4, dHead: 8, dMlp: 128 },
  vocab: 160,
  contextLength: 64,
  contextSource: 'table',
  hooks: [
    { hook: 'hook_embed', layer: null, value: 'embedding', shape: '[batch, pos, 32]', rearranged: false },
    {
      hook: 'blocks.0.hook_resid_pre',
      layer: 0,
      value: 'embedding',
      shape: '[batch, pos, 32]',
      rearranged: false,
    },
    {
      hook: 'blocks.0.attn.hook_pattern',
      layer: 0,
      value: 'probabilities',
      shape: '[batch, 4, pos, pos]',
      rearranged: false,
    },
    {
      hook: 'blocks.1.hook_resid_pre',
      layer: 1,
      value: 'add_7',
      shape: '[batch, pos, 32]',
      rearranged: false,
    },
  ],
  missing: [{ what: 'norms (hook_scale, hook_normalized)', reason: 'each norm is one operator' }],
  whole: null,
  generation: 'cache',
  values: [
    {
      name: 'embedding',
      operator: 'Gather',
      type: 'float32',
      shape: '[batch, pos, 32]',
      hooks: ['hook_embed', 'blocks.0.hook_resid_pre'],
    },
    {
      name: 'probabilities',
      operator: 'Softmax',
      type: 'float32',
      shape: '[batch, 4, pos, pos]',
      hooks: ['blocks.0.attn.hook_pattern'],
    },
    {
      name: 'add_7',
      operator: 'Add',
      type: 'float32',
      shape: '[batch, pos, 32]',
      hooks: ['blocks.1.hook_resid_pre'],
    },
    { name: 'logits', operator: 'MatMul', type: 'float32', shape: '[batch, pos, 160]', hooks: [] },
  ],
  ...part,
})
