/**
 * Finds the parts of a decoder in a graph that somebody else exported, by structure alone: the residual stream is what
 * additions keep, a sublayer with a softmax that is multiplied with values is attention, any other an MLP. Names of nodes
 * and weights play no part.
 */
import {
  hookDims,
  hookName,
  type BlockSite,
  type Dim as HookDim,
  type HookPoint,
  type OuterSite,
} from '../../../preload/hooks'
import type { Dim } from '../../onnx/graph'
import { unfuse } from '../../onnx/exported/unfuse'
import { asItIs } from '../../onnx/exported/view'
import type { OnnxModel } from '../../onnx/exported/model'
import { coresOf, findAttention, type Attention, type Core } from './attention'
import {
  axesOf,
  findEmbedding,
  findUnembedding,
  inputRoles,
  tokenLookUp,
  type InputRoles,
  type Unembedding,
} from './ends'
import { GraphView, type Cone } from './graph-view'
import { findMlp, type Mlp } from './mlp'
import { findNorms, type Norm, type Norms } from './norms'
import type { Past } from './operands'
import type { Axes, FoundSite } from './sites'
import { addendsOf, walkStream, type Step } from './stream'

/** What a graph is as a language model. */
export interface Recognition {
  readonly view: GraphView
  readonly roles: InputRoles
  readonly axes: Axes
  readonly logits: string
  readonly vocab: number
  /** Null where the residual stream was not found. */
  readonly decoder: Decoder | null
  /** What was looked for and not found. */
  readonly missing: readonly Missing[]
}

export interface Decoder {
  readonly layers: number
  readonly dModel: number
  readonly heads: number | null
  readonly kvHeads: number | null
  readonly dHead: number | null
  readonly dMlp: number | null
  /** From the table of positions; null where there is none. */
  readonly contextLength: number | null
  /** By canonical hook name. */
  readonly sites: ReadonlyMap<string, FoundSite>
  /** The residual stream at the input of each block, and at the end. */
  readonly stream: readonly string[]
  /** Of each layer; null where the graph takes no keys and values of earlier positions. */
  readonly past: readonly { readonly key: Past; readonly value: Past }[] | null
  /** Whether columns that hold nothing of a row can be masked in these. */
  readonly gaps: boolean
}

export interface Missing {
  /** A hook point, or what else was looked for. */
  readonly what: string
  readonly reason: string
}

/** @returns null with the reason where the graph can not even be run as a language model */
export function recognise(model: OnnxModel): Recognition | { readonly refused: string } {
  const view = new GraphView(unfuse(model))
  const norms = findNorms(view)
  const end = findUnembedding(view, norms)
  if (end === null) return { refused: 'none of its outputs comes out of a projection to a vocabulary' }
  const tokens = tokenLookUp(view, end.vocab)
  const axes = tokens === null ? null : axesOf(view, tokens.input)
  if (tokens === null || axes === null)
    return { refused: 'none of its inputs is looked up in a table of token embeddings' }
  const roles = inputRoles(view, tokens)
  if (roles.others.length > 0)
    return {
      refused: `it wants ${roles.others.join(', ')} fed, which is neither mask nor positions nor cache`,
    }

  const missing: Missing[] = []
  const { start, steps, norm } = streamOf(view, norms, end)
  const dModel = view.shape(start)?.at(-1)
  const common = { view, roles, axes, logits: end.logits, vocab: end.vocab, missing }
  const isStream = view.shape(start)?.join() === [axes.batch, axes.pos, dModel].join()
  if (steps.length === 0 || typeof dModel !== 'number' || !isStream) {
    missing.push({
      what: 'residual stream',
      reason: 'no additions keep one value from embedding to unembedding',
    })
    return { ...common, decoder: null }
  }
  const embedding = findEmbedding(view, start, tokens)
  const assembly = new Assembly(view, norms, axes, missing)
  assembly.embedding(embedding.tokens, embedding.positions)
  for (const step of steps) assembly.step(step)
  assembly.unembedding(norm)
  return { ...common, decoder: assembly.decoder(dModel, embedding.contextLength) }
}

/**
 * The stream and the final norm. Where every sublayer's sum is normalised, the norm before the unembedding is the last of
 * these and belongs to the stream.
 */
function streamOf(
  view: GraphView,
  norms: Norms,
  { end, norm }: Unembedding,
): { start: string; steps: Step[]; norm: Norm | null } {
  const walked = walkStream(view, norms, end)
  const normalised = walked.steps.slice(0, -1).some((step) => step.norm !== null)
  if (norm === null || !normalised) return { ...walked, norm }
  return { ...walkStream(view, norms, norm.output), norm: null }
}

interface Block {
  readonly layer: number
  readonly before: string
  after: string
  steps: number
  attention: Attention | null
  mlp: Mlp | null
}

/** What is added to the stream, with the softmaxes in it. */
interface Branch {
  readonly value: string
  readonly cone: Cone
  readonly cores: readonly Core[]
}

/** Puts blocks together, step by step of the residual stream. */
class Assembly {
  readonly #sites = new Map<string, FoundSite>()
  readonly #blocks: Block[] = []

  constructor(
    private readonly view: GraphView,
    private readonly norms: Norms,
    private readonly axes: Axes,
    private readonly missing: Missing[],
  ) {}

  embedding(tokens: string, positions: string | null): void {
    this.#outer('hook_embed', tokens)
    if (positions !== null) this.#outer('hook_pos_embed', positions)
  }

  step(step: Step): void {
    const branches = step.branches.flatMap((value) => this.#parted(this.#branch(step, value), step))
    const block = this.#blockFor(
      step,
      branches.some(({ cores }) => cores.length > 0),
    )
    if (block.steps === 1 && branches.length === 1) this.#put(block, 'hook_resid_mid', step.before)
    for (const branch of branches) {
      if (branch.cores.length > 0) this.#attention(block, branch)
      else this.#mlp(block, branch)
    }
    block.after = step.after
    block.steps++
  }

  #branch({ before }: Step, value: string): Branch {
    const cone = this.view.cone(before, value)
    return { value, cone, cores: coresOf(this.view, cone) }
  }

  /** Attention and MLP, where they are added to each other before they are added to the stream. */
  #parted(branch: Branch, step: Step): Branch[] {
    const parts = addendsOf(this.view, branch.value)?.map((value) => this.#branch(step, value)) ?? []
    return parts.filter(({ cores }) => cores.length > 0).length === 1 ? parts : [branch]
  }

  unembedding(norm: Norm | null): void {
    if (norm === null) return
    this.#norm(norm, 'ln_final', (site, value) => this.#outer(site as OuterSite, value))
  }

  decoder(dModel: number, contextLength: number | null): Decoder {
    const [first] = this.#blocks
    for (const block of this.#blocks) {
      this.#put(block, 'hook_resid_pre', block.before)
      this.#put(block, 'hook_resid_post', block.after)
    }
    // Keys and values are kept in float32; in other types they are computed again.
    const past = this.#blocks
      .flatMap(({ attention }) => attention?.past ?? [])
      .filter(({ key, value }) => [key, value].every(({ input }) => this.view.type(input) === 'float32'))
    return {
      layers: this.#blocks.length,
      dModel,
      heads: first.attention?.heads ?? null,
      kvHeads: first.attention?.kvHeads ?? null,
      dHead: first.attention?.headDim ?? null,
      dMlp: first.mlp?.width ?? null,
      contextLength,
      sites: this.#sites,
      stream: [...this.#blocks.map(({ before }) => before), this.#blocks[this.#blocks.length - 1].after],
      past: past.length === this.#blocks.length ? past : null,
      gaps: this.#blocks.every(({ attention }) => attention?.gaps ?? false),
    }
  }

  /** Attention begins a block; an MLP belongs to the block before it, unless that has one. */
  #blockFor(step: Step, attends: boolean): Block {
    const last = this.#blocks.at(-1)
    if (last !== undefined && !attends && last.mlp === null) return last
    const block: Block = {
      layer: this.#blocks.length,
      before: step.before,
      after: step.after,
      steps: 0,
      attention: null,
      mlp: null,
    }
    this.#blocks.push(block)
    return block
  }

  #attention(block: Block, { value, cone, cores }: Branch): void {
    this.#put(block, 'hook_attn_out', value)
    this.#normBefore(block, cone, 'ln1')
    const found = cores.length === 1 ? findAttention(this.view, this.norms, cone, cores[0], this.axes) : null
    if (found === null) {
      const reason = cores.length > 1 ? `it attends ${cores.length} times` : 'its layout is not known'
      for (const site of ['attn.hook_z', 'attn.hook_pattern'] as const) this.#absent(block, site, reason)
      return
    }
    block.attention = found
    for (const [site, place] of found.sites) this.#sites.set(name(block, site), place)
    for (const [site, reason] of found.missing) this.#absent(block, site, reason)
  }

  #mlp(block: Block, { value, cone }: Branch): void {
    this.#put(block, 'hook_mlp_out', value)
    this.#normBefore(block, cone, 'ln2')
    const found = findMlp(this.view, cone, this.axes)
    block.mlp = found
    for (const [site, place] of found.sites) this.#sites.set(name(block, site), place)
    for (const [site, reason] of found.missing) this.#absent(block, site, reason)
  }

  /** The norm that a sublayer reads the stream through. */
  #normBefore(block: Block, { from, values }: Cone, prefix: 'ln1' | 'ln2'): void {
    const norm = (this.norms.byInput.get(from) ?? []).find(({ output }) => values.has(output))
    if (norm !== undefined)
      this.#norm(norm, prefix, (site, value) => this.#put(block, site as BlockSite, value))
  }

  #norm(norm: Norm, prefix: string, put: (site: string, value: string) => void): void {
    if (norm.scale !== null) put(`${prefix}.hook_scale`, norm.scale)
    if (norm.normalized !== null) put(`${prefix}.hook_normalized`, norm.normalized)
    if (norm.scale === null && !this.missing.some(({ what }) => what.startsWith('norms')))
      this.missing.push({
        what: 'norms (hook_scale, hook_normalized)',
        reason: 'the exporter wrote each norm as one operator, whose insides are no values',
      })
  }

  #put(block: Block, site: BlockSite, value: string): void {
    this.#add({ layer: block.layer, site }, value)
  }

  #outer(site: OuterSite, value: string): void {
    this.#add({ layer: null, site }, value)
  }

  /** A hook point whose value has its very layout, or batch 1 where it is the same for all rows. */
  #add(point: HookPoint, value: string): void {
    const shape = this.view.shape(value)
    const fits = shape?.length === hookDims(point).length && fitsAxes(shape, hookDims(point), this.axes)
    if (fits) this.#sites.set(hookName(point), { value, view: asItIs })
    else
      this.missing.push({
        what: hookName(point),
        reason: `its value has the shape [${shape?.join(', ') ?? '?'}]`,
      })
  }

  #absent(block: Block, site: BlockSite, reason: string): void {
    this.missing.push({ what: name(block, site), reason })
  }
}

const name = ({ layer }: Block, site: BlockSite): string => hookName({ layer, site })

const fitsAxes = (shape: readonly Dim[], dims: readonly HookDim[], { batch, pos }: Axes): boolean =>
  dims.every((dim, axis) => {
    if (dim === 'batch') return shape[axis] === batch || shape[axis] === 1
    return dim === 'pos' ? shape[axis] === pos : typeof shape[axis] === 'number'
  })
