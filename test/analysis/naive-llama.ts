/**
 * A Llama written out by hand in float64, one position and one head at a time: slow, plain, and sharing no code with the
 * runtime. What analysis says about storyworld is checked against it.
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { z } from 'zod'
import { decodeSafetensors, float32Of } from '../../main/models/formats/safetensors'

export type Matrix = Float64Array[]

/** Called at each hook point with the activation's rows; may change them in place. */
export type Visit = (hook: string, value: Matrix) => void

const config = z.object({
  hidden_size: z.number(),
  num_hidden_layers: z.number(),
  num_attention_heads: z.number(),
  head_dim: z.number(),
  rms_norm_eps: z.number(),
  vocab_size: z.number(),
  max_position_embeddings: z.number(),
  rope_parameters: z.object({ rope_theta: z.number() }),
})

export class NaiveLlama {
  readonly config: z.infer<typeof config>
  private readonly weights: ReadonlyMap<string, Float32Array>

  constructor(folder: string) {
    this.config = config.parse(JSON.parse(readFileSync(path.join(folder, 'config.json'), 'utf8')))
    const { tensors } = decodeSafetensors(readFileSync(path.join(folder, 'model.safetensors')))
    this.weights = new Map([...tensors].map(([name, tensor]) => [name, float32Of(tensor)]))
  }

  /** The residual stream after the last block, [pos][d_model]. */
  forward(tokens: readonly number[], visit: Visit): Matrix {
    const width = this.config.hidden_size
    const table = this.weight('model.embed_tokens.weight')
    const x = tokens.map((id) => Float64Array.from(table.subarray(id * width, (id + 1) * width)))
    for (let layer = 0; layer < this.config.num_hidden_layers; layer++) this.block(layer, x, visit)
    return x
  }

  /** Logits of one row of the residual stream, [d_vocab]. */
  logits(x: Float64Array | Float32Array): Float64Array {
    return this.linear('model.embed_tokens.weight', this.norm('model.norm.weight', Float64Array.from(x)))
  }

  private block(layer: number, x: Matrix, visit: Visit): void {
    const at = (part: string): string => `model.layers.${layer}.${part}.weight`
    const hook = (site: string): string => `blocks.${layer}.${site}`
    visit(hook('hook_resid_pre'), x)
    const read = x.map((row) => this.norm(at('input_layernorm'), row))
    const [q, k, v] = ['q', 'k', 'v'].map((part) =>
      read.map((row) => this.linear(at(`self_attn.${part}_proj`), row)),
    )
    const z = this.attention(q, k, v, (pattern) => visit(hook('attn.hook_pattern'), pattern))
    visit(hook('attn.hook_z'), z)
    addTo(
      x,
      z.map((row) => this.linear(at('self_attn.o_proj'), row)),
    )
    visit(hook('hook_resid_mid'), x)
    const normed = x.map((row) => this.norm(at('post_attention_layernorm'), row))
    const neurons = normed.map((row) => {
      const gate = this.linear(at('mlp.gate_proj'), row)
      return this.linear(at('mlp.up_proj'), row).map((up, i) => (up * gate[i]) / (1 + Math.exp(-gate[i])))
    })
    visit(hook('mlp.hook_post'), neurons)
    addTo(
      x,
      neurons.map((row) => this.linear(at('mlp.down_proj'), row)),
    )
    visit(hook('hook_resid_post'), x)
  }

  private attention(q: Matrix, k: Matrix, v: Matrix, visitPattern: (pattern: Matrix) => void): Matrix {
    const { num_attention_heads: heads, head_dim: size } = this.config
    const head = (row: Float64Array, h: number): Float64Array => row.subarray(h * size, (h + 1) * size)
    const pattern: Matrix = []
    for (let h = 0; h < heads; h++) {
      const queries = q.map((row, i) => this.rotated(head(row, h), i))
      const keys = k.map((row, j) => this.rotated(head(row, h), j))
      queries.forEach((query, i) => {
        const scores = keys.map((key, j) => (j > i ? -Infinity : dot(query, key) / Math.sqrt(size)))
        const top = Math.max(...scores)
        const exps = scores.map((score) => Math.exp(score - top))
        const sum = exps.reduce((a, b) => a + b)
        pattern.push(Float64Array.from(exps, (e) => e / sum))
      })
    }
    visitPattern(pattern)
    return q.map((_, i) => {
      const z = new Float64Array(heads * size)
      for (let h = 0; h < heads; h++)
        v.forEach((value, j) => {
          for (let d = 0; d < size; d++) z[h * size + d] += pattern[h * q.length + i][j] * value[h * size + d]
        })
      return z
    })
  }

  /** Rotary position embedding in the half-split layout. */
  private rotated(x: Float64Array, position: number): Float64Array {
    const half = x.length / 2
    const out = new Float64Array(x.length)
    for (let i = 0; i < half; i++) {
      const angle = position * this.config.rope_parameters.rope_theta ** (-i / half)
      out[i] = x[i] * Math.cos(angle) - x[i + half] * Math.sin(angle)
      out[i + half] = x[i + half] * Math.cos(angle) + x[i] * Math.sin(angle)
    }
    return out
  }

  private norm(name: string, x: Float64Array): Float64Array {
    const weight = this.weight(name)
    const scale = Math.sqrt(dot(x, x) / x.length + this.config.rms_norm_eps)
    return x.map((value, i) => (value / scale) * weight[i])
  }

  private linear(name: string, x: Float64Array): Float64Array {
    const weight = this.weight(name)
    return Float64Array.from({ length: weight.length / x.length }, (_, row) => {
      let sum = 0
      for (let i = 0; i < x.length; i++) sum += weight[row * x.length + i] * x[i]
      return sum
    })
  }

  private weight(name: string): Float32Array {
    const weight = this.weights.get(name)
    if (weight === undefined) throw new Error(`no weight ${name}`)
    return weight
  }
}

export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i]
  return sum
}

function addTo(x: Matrix, y: Matrix): void {
  y.forEach((row, i) => row.forEach((value, j) => (x[i][j] += value)))
}
