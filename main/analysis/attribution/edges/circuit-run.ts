/** Runs a circuit: block by block, with inputs of its own for every head's queries, keys and values, and for the MLP. */
import {
  runRequest,
  type InterventionInput,
  type RunInput,
  type RunRequestInput,
} from '../../../../preload/run'
import type { Tensor } from '../../../../preload/tensor'
import type { TransformerSpec } from '../../../models/spec'
import type { AnalysisModel } from '../../subject'
import { logitsFor, metricOf } from '../metric'
import type { Side } from '../pair'
import type { EdgeGraph } from './graph'
import type { HeadWriting } from './head-writing'
import { SourceOutputs, type Captures } from './sources'

export class CircuitRun {
  private readonly shape: readonly number[]

  constructor(
    private readonly model: AnalysisModel,
    private readonly spec: TransformerSpec,
    private readonly graph: EdgeGraph,
    private readonly writings: readonly HeadWriting[],
    private readonly clean: Side,
    /** Residual stream at block 0 of the clean prompt, [pos, d_model]. */
    private readonly embedded: Float32Array,
    /** Activations of the corrupt prompt, [1, pos, …]. */
    private readonly corrupt: Captures,
  ) {
    this.shape = [clean.tokens.length, spec.dModel]
  }

  /** The metric when exactly these edges carry what this run computes. */
  async metric(
    edges: ReadonlySet<number>,
    signal: AbortSignal | undefined,
    onLayer: (layer: number) => void,
  ): Promise<number> {
    const { graph, spec } = this
    /** By how much each source differs from the corrupt run, as far as it is computed. */
    const differences = new SourceOutputs(graph, spec, this.writings, this.clean.tokens.length)
    differences.setEmbedding(this.embedded, this.corrupt['blocks.0.hook_resid_pre'].data)
    let target = 0
    /** Sources of the circuit that the next target reads. */
    const next = (): number[] => {
      const kept: number[] = []
      for (let source = 0; source < graph.visible[target]; source++)
        if (edges.has(graph.offsets[target] + source)) kept.push(source)
      target++
      return kept
    }
    const input = (hook: string, kept: readonly number[]): Float32Array => {
      const sum = this.corrupt[hook].data.slice()
      for (const source of kept) {
        const difference = differences.of(source)
        for (let i = 0; i < sum.length; i++) sum[i] += difference[i]
      }
      return sum
    }
    for (const [layer, { topology, attention }] of spec.blocks.entries()) {
      const at = (site: string): string => `blocks.${layer}.${site}`
      const reads = Array.from({ length: attention.heads + 2 * attention.kvHeads }, next)
      if (reads.some((kept) => kept.length > 0)) {
        const result = await this.#attention(
          layer,
          reads,
          (kept) => input(at('hook_resid_pre'), kept),
          signal,
        )
        differences.setHeads(layer, result, this.corrupt[at('attn.hook_result')].data)
      }
      const kept = next()
      if (kept.length > 0) {
        const site = topology === 'parallel' ? 'hook_resid_pre' : 'hook_resid_mid'
        const output = await this.#mlp(layer, site, input(at(site), kept), signal)
        differences.setMlp(layer, output, this.corrupt[at('hook_mlp_out')].data)
      }
      onLayer(layer)
    }
    const final = input(`blocks.${spec.blocks.length - 1}.hook_resid_post`, next())
    const { logits } = await this.#run(
      spec.blocks.length,
      [final],
      { logits: logitsFor([this.clean.metric]) },
      {},
      signal,
    )
    return metricOf(logits, 0, this.clean.metric)
  }

  /** What each head writes, [pos, head, d_model], when queries, keys and values each read their own sources. */
  async #attention(
    layer: number,
    reads: readonly (readonly number[])[],
    input: (kept: readonly number[]) => Float32Array,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array> {
    const result = `blocks.${layer}.attn.hook_result`
    const { heads, kvHeads, headDim } = this.spec.blocks[layer].attention
    // Targets that read the same sources share a row.
    const rowsByText = new Map<string, number>()
    const inputs: Float32Array[] = []
    const rows = reads.map((kept) => {
      const text = kept.join()
      const known = rowsByText.get(text)
      if (known !== undefined) return known
      rowsByText.set(text, inputs.length)
      inputs.push(input(kept))
      return inputs.length - 1
    })
    const stopLayer = layer + 1
    if (inputs.length === 1) {
      const { captures } = await this.#run(layer, inputs, { captures: [result], stopLayer }, {}, signal)
      return captures[result].data
    }
    const channels = [
      { hook: `blocks.${layer}.attn.hook_q`, count: heads, first: 0 },
      { hook: `blocks.${layer}.attn.hook_k`, count: kvHeads, first: heads },
      { hook: `blocks.${layer}.attn.hook_v`, count: kvHeads, first: heads + kvHeads },
    ]
    const { captures } = await this.#run(
      layer,
      inputs,
      { captures: channels.map(({ hook }) => hook), stopLayer },
      {},
      signal,
    )
    const tensors: Record<string, Tensor> = {}
    const interventions = channels.map(({ hook, count, first }): InterventionInput => {
      const chosen = rows.slice(first, first + count)
      tensors[hook] = headsFrom(captures[hook], chosen, headDim)
      return { hook, operation: { kind: 'replace', value: hook } }
    })
    const patched = await this.#run(
      layer,
      [this.corrupt[`blocks.${layer}.hook_resid_pre`].data],
      { captures: [result], stopLayer, interventions },
      tensors,
      signal,
    )
    return patched.captures[result].data
  }

  /** The MLP's output [pos, d_model] when it reads `input`. */
  async #mlp(
    layer: number,
    site: 'hook_resid_pre' | 'hook_resid_mid',
    input: Float32Array,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array> {
    const output = `blocks.${layer}.hook_mlp_out`
    const request = { captures: [output], stopLayer: layer + 1 }
    if (site === 'hook_resid_pre')
      return (await this.#run(layer, [input], request, {}, signal)).captures[output].data
    const interventions: InterventionInput[] = [
      { hook: `blocks.${layer}.${site}`, operation: { kind: 'replace', value: 'input' } },
    ]
    const start = this.corrupt[`blocks.${layer}.hook_resid_pre`].data
    const tensors = { input: { shape: this.shape, data: input } }
    const { captures } = await this.#run(layer, [start], { ...request, interventions }, tensors, signal)
    return captures[output].data
  }

  #run(
    layer: number,
    residuals: readonly Float32Array[],
    request: Partial<RunRequestInput>,
    tensors: Record<string, Tensor>,
    signal: AbortSignal | undefined,
  ) {
    const [positions, dModel] = this.shape
    const data = new Float32Array(residuals.length * positions * dModel)
    residuals.forEach((residual, row) => data.set(residual, row * positions * dModel))
    const input: RunInput = {
      request: runRequest.parse({
        model: this.model.facts.fingerprint,
        rows: residuals.map(() => this.clean.tokens),
        start: { layer, residual: 'residual' },
        logits: 'none',
        ...request,
      }),
      tensors: { ...tensors, residual: { shape: [residuals.length, positions, dModel], data } },
    }
    return this.model.run(input, { signal, transient: true })
  }
}

/** Head h of row `rows[h]` of [batch, pos, head, d_head], as [pos, head, d_head]. */
function headsFrom({ shape, data }: Tensor, rows: readonly number[], headDim: number): Tensor {
  const [, positions, heads] = shape
  const chosen = new Float32Array(positions * heads * headDim)
  for (let position = 0; position < positions; position++)
    rows.forEach((row, head) => {
      const from = ((row * positions + position) * heads + head) * headDim
      chosen.set(data.subarray(from, from + headDim), (position * heads + head) * headDim)
    })
  return { shape: [positions, heads, headDim], data: chosen }
}
