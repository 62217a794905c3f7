/** Gradients of parts of exports: chained from part to part, through ports, in all ways of writing a decoder. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { recognise } from '../../../main/models/exported/recognise'
import { cutGraph } from '../../../main/onnx/exported/cut'
import type { OnnxGraph, OnnxModel } from '../../../main/onnx/exported/model'
import { readModel } from '../../../main/onnx/exported/read'
import { GraphSurgery, type Site } from '../../../main/onnx/exported/surgery'
import { writeModel } from '../../../main/onnx/exported/write'
import { differentiateExported } from '../../../main/onnx/gradient/exported'
import { asItIs } from '../../../main/onnx/exported/view'
import { sourceOf } from '../../support/onnx-model'
import { HEADS, tinyDecoder, VOCAB, WIDTH, type DecoderStyle } from '../../support/tiny-decoder'
import { InferenceSession, type Tensor } from 'onnxruntime-node'
import { expectClose, integers, looked, numbers, outputsOf, tensor, type Fed, type Result } from './support'

const [batch, pos] = [2, 3]
const ids = integers([batch, pos], [3, 1, 4, 1, 5, 9])
const mask = integers([batch, pos], [1, 1, 1, 1, 1, 1])
const dLogits = numbers([batch, pos, VOCAB], 7)
const RESID = 'blocks.1.hook_resid_pre'

/** Where the models' files are: weights stay in them. */
const folder = mkdtempSync(path.join(tmpdir(), 'patchbay-'))
afterAll(() => rmSync(folder, { recursive: true }))

const open = (model: OnnxModel, graph: OnnxGraph): Promise<InferenceSession> =>
  InferenceSession.create(writeModel(model, graph), {
    logSeverityLevel: 3,
    extra: { session: { model_external_initializers_file_folder_path: folder } },
  })

let count = 0

async function decoder(style: DecoderStyle) {
  const bytes = tinyDecoder(style)
  const file = `${count++}.onnx`
  writeFileSync(path.join(folder, file), bytes)
  const found = recognise(await readModel(sourceOf(bytes), file))
  if ('refused' in found || found.decoder === null) throw new Error('no decoder was found')
  const place = found.decoder.sites.get(RESID)
  if (place === undefined) throw new Error('no residual stream was found')
  const site: Site = { value: place.value, view: place.view, type: 'float32', rank: 3 }
  const logits: Site = { value: found.logits, view: asItIs, type: 'float32', rank: 3 }
  return { model: found.view.model, values: found.view.values, site, logits }
}

async function run(
  model: OnnxModel,
  graph: OnnxGraph,
  feeds: Record<string, Tensor>,
): Promise<Record<string, Result>> {
  const session = await open(model, graph)
  const own = Object.fromEntries(session.inputNames.map((name) => [name, feeds[name]]))
  const results = await outputsOf(session, own)
  const named = session.outputNames.map((name, i) => [name, results[i]] as const)
  await session.release()
  return Object.fromEntries(named)
}

const past: Fed = { shape: [batch, HEADS, 0, 8], data: [] }
const feedsOf = (graph: OnnxGraph): Record<string, Tensor> => ({
  '0': tensor(ids),
  m: tensor(mask),
  ...Object.fromEntries(
    graph.inputs.filter(({ name }) => name.startsWith('past')).map(({ name }) => [name, tensor(past)]),
  ),
})

/** Central differences of Σ dLogits ⊙ logits by what is added to the residual stream at a port. */
async function quotients(model: OnnxModel, site: Site, keep: number): Promise<number[]> {
  const surgery = new GraphSurgery(model.graph, model.opsets.get('') ?? 0)
  surgery.port(site, [{ kind: 'affine', keep: 'keep', value: 'value' }])
  const graph = surgery.finish()
  const session = await open(model, graph)
  // Small: scores are steep.
  const step = 1 / 256
  const count = batch * pos * WIDTH
  const at = async (index: number, by: number): Promise<number> => {
    const data = Array.from({ length: count }, (_, i) => (i === index ? by : 0))
    const value = tensor({ shape: [batch, pos, WIDTH], data })
    const feeds = { ...feedsOf(model.graph), keep: tensor({ shape: [1, 1, 1], data: [keep] }), value }
    const results = await outputsOf(session, feeds)
    return results[session.outputNames.indexOf('y')].data.reduce((sum, y, i) => sum + y * dLogits.data[i], 0)
  }
  const found: number[] = []
  for (const i of looked(count)) found.push(((await at(i, step)) - (await at(i, -step))) / (2 * step))
  await session.release()
  return found
}

const styles: [string, DecoderStyle][] = [
  ['written out', {}],
  ['of an old operator set', { opset: 11, norm: 'rms-div' }],
  [
    'with layer norms, parallel',
    { norm: 'layer-written', topology: 'parallel', mask: 'where', mlp: 'gated' },
  ],
  [
    'with fused projections, capped',
    { projections: 'fused-split', capped: true, norm: 'rms-reciprocal', mlp: 'gated-fused' },
  ],
  [
    'with queries, keys and values interleaved',
    { projections: 'fused-gather', norm: 'fused-layer', mlp: 'bilinear' },
  ],
  ['with experts', { mlp: 'experts', norm: 'fused-rms', padded: true }],
  ['with ONNX Runtime’s attention', { attention: 'multi-head', skipNorms: true, norm: 'fused-rms' }],
  ['with grouped attention and a cache', { attention: 'group-query', past: true }],
  ['with ONNX’s attention', { attention: 'onnx', opset: 23 }],
]

describe.each(styles)('a decoder %s', (_, style) => {
  it('gives the gradient by its residual stream, whole and chained from part to part', async () => {
    const { model, values, site, logits } = await decoder(style)
    const graph = differentiateExported(model, [{ site: logits, input: 'dy' }], [{ site, output: 'd' }])
    const feeds = { ...feedsOf(model.graph), dy: tensor(dLogits) }
    const { d } = await run(model, graph, feeds)
    expect(d.shape).toEqual([batch, pos, WIDTH])
    const compared = looked(d.data.length).map((i) => d.data[i])
    expectClose(RESID, compared, await quotients(model, site, 1), 1e-2)

    const [first, second] = cutGraph(model.graph, values, [site.value])
    const forward = await run(model, first.graph, feeds)
    const carried = Object.fromEntries(
      [...second.carried.keys(), site.value].map((name) => {
        const { shape, data } = forward[name]
        const type = first.graph.outputs.find((output) => output.name === name)?.type
        const dtype = type === 'int64' || type === 'int32' || type === 'bool' ? type : 'float32'
        return [name, tensor({ shape, data, dtype })] as const
      }),
    )
    const part = { ...model, graph: second.graph }
    const behind = differentiateExported(part, [{ site: logits, input: 'dy' }], [{ site, output: 'd' }])
    const chained = await run(model, behind, { ...feeds, ...carried })
    expectClose('chained', chained.d.data, d.data, 1e-5)
  })
})

describe('the gradient of a run with ports', () => {
  it('is that of the changed run, and also by what is added at the port', async () => {
    const { model, site, logits } = await decoder({})
    const surgery = new GraphSurgery(model.graph, 18)
    surgery.port(site, [{ kind: 'affine', keep: 'keep', value: 'value' }])
    const ported = { ...model, graph: surgery.finish() }
    const value: Site = { value: 'value', view: asItIs, type: 'float32', rank: 3 }
    const graph = differentiateExported(
      ported,
      [{ site: logits, input: 'dy' }],
      [
        { site, output: 'd' },
        { site: value, output: 'dvalue' },
      ],
    )
    const feeds = {
      ...feedsOf(model.graph),
      dy: tensor(dLogits),
      keep: tensor({ shape: [1, 1, 1], data: [0.5] }),
      value: tensor({ shape: [1, pos, WIDTH], data: new Array<number>(pos * WIDTH).fill(0) }),
    }
    const { d, dvalue } = await run(model, graph, feeds)
    const compared = looked(d.data.length).map((i) => d.data[i])
    expectClose('d', compared, await quotients(model, site, 0.5), 1e-2)
    // The port's value was the same for all rows: its gradient is the sum over them.
    const half = d.data.length / batch
    const summed = Array.from({ length: half }, (_, i) => d.data[i] + d.data[i + half])
    expectClose('dvalue', dvalue.data, summed, 1e-5)
  })
})
