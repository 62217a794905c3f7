/**
 * Recognition of decoders in exported graphs: the same parts in all the ways of writing them, whatever their names, and
 * honest about what is not there.
 */
import { fromBinary, toBinary } from '@bufbuild/protobuf'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { readModel } from '../../../main/onnx/exported/read'
import { ModelProtoSchema, type GraphProto, type ModelProto } from '../../../main/onnx/proto/onnx_pb'
import { recognise, type Decoder, type Recognition } from '../../../main/models/exported/recognise'
import { exportFile, exportNames } from '../../support/exported-model'
import { modelBytes, node, smallGraph, sourceOf, value } from '../../support/onnx-model'
import {
  BLOCKS,
  HEAD,
  HEADS,
  MLP,
  tinyDecoder,
  VOCAB,
  WIDTH,
  type DecoderStyle,
} from '../../support/tiny-decoder'

async function recognised(bytes: Uint8Array): Promise<Recognition & { decoder: Decoder }> {
  const found = recognise(await readModel(sourceOf(bytes), 'model.onnx'))
  if ('refused' in found) throw new Error(found.refused)
  if (found.decoder === null) throw new Error('no decoder was found')
  return { ...found, decoder: found.decoder }
}

const siteNames = ({ decoder }: { decoder: Decoder }): string[] =>
  [...decoder.sites.keys()].map((name) => name.replace(/^blocks\.\d+\./, ''))
const distinct = (names: readonly string[]): string[] => [...new Set(names)].sort()

const stream = ['hook_resid_post', 'hook_resid_pre']
const attention = [
  'attn.hook_attn_scores',
  'attn.hook_k',
  'attn.hook_pattern',
  'attn.hook_q',
  'attn.hook_v',
  'attn.hook_z',
  'hook_attn_out',
]
const plainMlp = ['hook_mlp_out', 'mlp.hook_post', 'mlp.hook_pre']
const norms = ['ln1', 'ln2', 'ln_final'].flatMap((norm) => [`${norm}.hook_normalized`, `${norm}.hook_scale`])
const ends = ['hook_embed', 'hook_pos_embed']
const all = distinct([...stream, 'hook_resid_mid', ...attention, ...plainMlp, ...norms, ...ends])
const without = (...left: readonly string[]): string[] => all.filter((name) => !left.includes(name))

describe('a decoder is recognised', () => {
  it.each<[string, DecoderStyle, string[]]>([
    ['in its plainest form', {}, all],
    ['with the stream as second operand', { flipped: true }, all],
    ['through nodes that only pass values on', { padded: true }, all],
    ['with its mask by Where', { mask: 'where' }, all],
    ['with soft-caps', { capped: true }, all],
    ['with reciprocals in its norms', { norm: 'rms-reciprocal' }, all],
    ['with LayerNorms written out', { norm: 'layer-written' }, all],
    ['with fused LayerNorms', { norm: 'fused-layer' }, without(...norms)],
    ['with fused RMSNorms', { norm: 'fused-rms' }, without(...norms)],
    ['without norms', { norm: 'none' }, without(...norms)],
    ['with norms on what is added', { postNorms: true }, all],
    ['with one projection, split', { projections: 'fused-split' }, all],
    ['with one projection, grouped by heads', { projections: 'fused-gather' }, all],
    ['with a gated MLP', { mlp: 'gated' }, distinct([...all, 'mlp.hook_pre_linear'])],
    ['with a gated MLP in one projection', { mlp: 'gated-fused' }, distinct([...all, 'mlp.hook_pre_linear'])],
    [
      'without MLPs',
      { mlp: 'none' },
      without(...plainMlp, 'hook_resid_mid', 'ln2.hook_normalized', 'ln2.hook_scale'),
    ],
    ['with parallel sublayers', { topology: 'parallel' }, without('hook_resid_mid')],
    [
      'with parallel sublayers added one by one',
      { topology: 'parallel-stream-first' },
      without('hook_resid_mid'),
    ],
    ['with norms on the stream', { topology: 'post-norm' }, without(...norms)],
    [
      'in operator set 11',
      { opset: 11, norm: 'rms-div', projections: 'fused-split', mlp: 'gated-fused' },
      distinct([...all, 'mlp.hook_pre_linear']),
    ],
    ['in operator set 23', { opset: 23 }, all],
    [
      'with additions and norms in one operator',
      { skipNorms: true },
      without('ln2.hook_normalized', 'ln2.hook_scale', 'ln_final.hook_normalized', 'ln_final.hook_scale'),
    ],
    [
      'with attention in one operator of ONNX Runtime',
      { attention: 'multi-head' },
      without('attn.hook_attn_scores', 'attn.hook_pattern'),
    ],
    [
      'with attention in one operator for groups of queries',
      { attention: 'group-query', past: true },
      without('attn.hook_attn_scores', 'attn.hook_pattern'),
    ],
    [
      'with attention in one operator of ONNX',
      { attention: 'onnx', opset: 23 },
      without('attn.hook_attn_scores', 'attn.hook_pattern'),
    ],
  ])('%s', async (_, style, sites) => {
    const found = await recognised(tinyDecoder(style))
    expect(distinct(siteNames(found))).toEqual(sites)
    expect(found.vocab).toBe(VOCAB)
    expect(found.decoder).toMatchObject({
      layers: BLOCKS,
      dModel: WIDTH,
      heads: HEADS,
      kvHeads: HEADS,
      dHead: HEAD,
      dMlp: style.mlp === 'none' ? null : MLP,
      contextLength: 16,
    })
    expect(found.decoder.stream).toHaveLength(BLOCKS + 1)
    expect(found.roles).toMatchObject({ tokens: '0', mask: 'm', positions: null, others: [] })
    expect(found.roles.past).toHaveLength(style.past === true ? 2 * BLOCKS : 0)
  })

  it.each<[string, DecoderStyle, string, RegExp]>([
    ['a bilinear MLP’s gate', { mlp: 'bilinear' }, 'blocks.0.mlp.hook_pre', /2 projections/],
    ['the neurons of experts', { mlp: 'experts' }, 'blocks.1.mlp.hook_post', /one projection/],
    [
      'the pattern in fused attention',
      { attention: 'multi-head' },
      'blocks.0.attn.hook_pattern',
      /one operator here \(MultiHeadAttention\)/,
    ],
    [
      'the insides of fused norms',
      { norm: 'fused-layer' },
      'norms (hook_scale, hook_normalized)',
      /one operator/,
    ],
  ])('but %s, which is said', async (_, style, what, reason) => {
    const { missing, decoder } = await recognised(tinyDecoder(style))
    expect(missing.find((one) => one.what === what)?.reason).toMatch(reason)
    expect([...decoder.sites.keys()]).not.toContain(what)
  })
})

/** The same model with every name in it replaced. */
function scrambled(bytes: Uint8Array): { bytes: Uint8Array; renamed: ReadonlyMap<string, string> } {
  const model: ModelProto = fromBinary(ModelProtoSchema, bytes)
  const { graph } = model
  if (graph === undefined) throw new Error('no graph')
  const renamed = new Map<string, string>([['', '']])
  const name = (old: string): string => {
    const fresh = renamed.get(old) ?? `n${(renamed.size * 7919) % 100_003}`
    renamed.set(old, fresh)
    return fresh
  }
  rename(graph)
  graph.node.reverse()
  model.producerName = ''
  return { bytes: toBinary(ModelProtoSchema, model), renamed }

  function rename(of: GraphProto): void {
    for (const one of [...of.input, ...of.output, ...of.valueInfo, ...of.initializer])
      one.name = name(one.name)
    for (const { type } of [...of.input, ...of.output, ...of.valueInfo])
      for (const dim of type?.value.case === 'tensorType' ? (type.value.value.shape?.dim ?? []) : [])
        if (dim.value.case === 'dimParam')
          dim.value.value = dim.value.value
            .split('+')
            .map((part) => name(part.trim()))
            .join(' + ')
    for (const each of of.node) {
      each.input = each.input.map(name)
      each.output = each.output.map(name)
      each.name = ''
      each.$unknown = []
    }
  }
}

describe.each(exportNames)('%s', (exported) => {
  it('is recognised the same with all of its names scrambled and its nodes out of order', async () => {
    const original = await recognised(readFileSync(exportFile(exported)))
    const { bytes, renamed } = scrambled(readFileSync(exportFile(exported)))
    const found = await recognised(bytes)
    const sites = ({ decoder }: { decoder: Decoder }, name: (value: string) => string | undefined) =>
      [...decoder.sites].map(([hook, { value: at, view }]) => [hook, name(at), view])
    expect(sites(found, (value) => value)).toEqual(sites(original, (value) => renamed.get(value)))
    expect(found.decoder.past?.map(({ key }) => key.input)).toEqual(
      original.decoder.past?.map(({ key }) => renamed.get(key.input)),
    )
    const { tokens, mask, positions } = original.roles
    expect(found.roles).toMatchObject({
      tokens: renamed.get(tokens),
      mask: renamed.get(mask ?? ''),
      positions: positions === null ? null : renamed.get(positions),
    })
  })

  it('has every hook point that its architecture has as values', async () => {
    const { decoder, missing } = await recognised(readFileSync(exportFile(exported)))
    const family = exported.split('-')[0]
    const own =
      family === 'gpt2'
        ? ends
        : [...norms, 'attn.hook_rot_k', 'attn.hook_rot_q', 'mlp.hook_pre_linear', 'hook_embed']
    expect(distinct(siteNames({ decoder }))).toEqual(
      distinct([...stream, 'hook_resid_mid', ...attention, ...plainMlp, ...own]),
    )
    expect(missing.map(({ what }) => what)).toEqual(
      family === 'gpt2' ? ['norms (hook_scale, hook_normalized)'] : [],
    )
    expect(decoder.contextLength).toBe(family === 'gpt2' ? 64 : null)
    expect(decoder.past === null).toBe(!exported.endsWith('past'))
  })
})

describe('what is no decoder', () => {
  const refusal = async (bytes: Uint8Array): Promise<string> => {
    const found = recognise(await readModel(sourceOf(bytes), 'model.onnx'))
    return 'refused' in found ? found.refused : 'recognised'
  }

  it('is refused with the reason: no vocabulary, no token ids, an input that is not understood', async () => {
    const { node: nodes, initializer } = smallGraph()
    const relu = {
      node: [node('Relu', ['x'], ['y'])],
      input: [value('x', ['b', 4])],
      output: [value('y', ['b', 4])],
    }
    expect(await refusal(modelBytes(relu))).toMatch(/projection to a vocabulary/)
    const noTokens = {
      node: nodes.slice(0, 1),
      initializer,
      input: [value('x', ['b', 20])],
      output: [value('xw', ['b', 20])],
    }
    expect(await refusal(modelBytes(noTokens))).toMatch(/table of token embeddings/)
    const model = fromBinary(ModelProtoSchema, tinyDecoder())
    model.graph?.input.push(
      fromBinary(ModelProtoSchema, modelBytes({ node: [], input: [value('switch', [1], 9)] })).graph!
        .input[0],
    )
    expect(await refusal(toBinary(ModelProtoSchema, model))).toMatch(/wants switch fed/)
  })

  it('but a language model without a residual stream is still one', async () => {
    const found = recognise(
      await readModel(
        sourceOf(
          modelBytes({
            node: [
              node('Gather', ['table', 'ids'], ['e']),
              node('Tanh', ['e'], ['t']),
              node('MatMul', ['t', 'head'], ['logits']),
            ],
            initializer: [
              { name: 'table', dims: [9n, 4n], dataType: 1, floatData: new Array<number>(36).fill(0.1) },
              { name: 'head', dims: [4n, 9n], dataType: 1, floatData: new Array<number>(36).fill(0.2) },
            ],
            input: [value('ids', ['b', 's'], 7)],
            output: [value('logits', ['b', 's', 9])],
          }),
        ),
        'model.onnx',
      ),
    )
    expect(found).toMatchObject({ decoder: null, vocab: 9, missing: [{ what: 'residual stream' }] })
  })
})
