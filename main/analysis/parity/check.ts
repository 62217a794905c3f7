/** Computes what a verification case holds and says how far off the numbers are, group by group. */
import type { GroupName } from '../../../preload/certificate'
import { parseHook } from '../../../preload/hooks'
import {
  generateRequest,
  runRequest,
  type GenerateInput,
  type InterventionInput,
  type RunInput,
  type RunRequestInput,
  type RunResult,
} from '../../../preload/run'
import type { Tensor } from '../../../preload/tensor'
import type { AnalysisModel } from '../subject'
import { relativeError, type Case } from './case'
import { GroupTable, type GroupResult } from './groups'

/** What a case is checked on: an open model, whatever runs it. */
export interface VerifySubject {
  /** sha256 in hex, as requests name it. */
  readonly fingerprint: string
  run(input: RunInput, options?: { signal?: AbortSignal }): Promise<RunResult>
  generate(input: GenerateInput, options?: { signal?: AbortSignal }): Promise<{ tokens: readonly number[] }[]>
}

/** How a check is cancelled and says how far it is. */
export interface CheckOptions {
  signal?: AbortSignal
  onProgress?: (done: number, total: number, what: string) => void
}

/** An analysis model as the subject of a check. */
export const subjectOf = (model: Pick<AnalysisModel, 'facts' | 'run' | 'generate'>): VerifySubject => ({
  fingerprint: model.facts.fingerprint,
  run: (input, options) => model.run(input, options),
  generate: async (input, options) => (await model.generate(input, options)).rows,
})

/**
 * Compares everything that the case holds and Patchbay can compute. Groups without tensors are left out.
 * @throws PatchbayError what runs throw; `run.cancelled` between blocks
 */
export async function checkCase(
  subject: VerifySubject,
  reference: Case,
  { signal, onProgress }: CheckOptions = {},
): Promise<GroupResult[]> {
  const checker = new Checker(subject, reference, await reference.tokens('input_ids'), signal)
  const parts: [string, () => Promise<void>][] = [
    ['logits and activations', () => checker.plain()],
    ['steering', () => checker.steered()],
    ['patching', () => checker.patched()],
    ['ablation', () => checker.ablated()],
    ['gradients', () => checker.differentiated()],
    ['generation', () => checker.generated()],
  ]
  for (const [done, [what, part]] of parts.entries()) {
    onProgress?.(done, parts.length, what)
    await part()
  }
  onProgress?.(parts.length, parts.length, '')
  return checker.results()
}

class Checker {
  readonly #table = new GroupTable()
  #captured = new Map<string, Tensor>()

  constructor(
    private readonly subject: VerifySubject,
    private readonly reference: Case,
    private readonly rows: readonly number[][],
    private readonly signal: AbortSignal | undefined,
  ) {}

  results(): GroupResult[] {
    return this.#table.results()
  }

  /** Logits and every hook point that the case has. */
  async plain(): Promise<void> {
    const hooks = this.reference.names.filter((name) => parseHook(name) !== null)
    const result = await this.#run({ captures: hooks })
    this.#captured = new Map(Object.entries(result.captures))
    await this.#compare('logits', 'logits', result.logits)
    for (const hook of hooks)
      await this.#compare(
        hook.endsWith('hook_pattern') ? 'patterns' : 'activations',
        hook,
        result.captures[hook],
      )
  }

  async steered(): Promise<void> {
    const steering = await this.#steering()
    if (steering === null) return
    const result = await this.#run({ interventions: [steering.intervention] }, steering.tensors)
    await this.#compare('steered', 'steer.logits', result.logits)
  }

  /** One row's residual at one position replaced by another row's. */
  async patched(): Promise<void> {
    const { patch } = this.reference.reference
    if (patch === undefined || !this.reference.names.includes('patch.logits')) return
    const hook = `blocks.${patch.block}.hook_resid_pre`
    const source = this.#captured.get(hook)
    if (source === undefined) return
    const [, length, width] = source.shape
    const start = (patch.from_row * length + patch.position) * width
    const value: Tensor = { shape: [width], data: source.data.slice(start, start + width) }
    const result = await this.#run(
      {
        interventions: [
          {
            hook,
            rows: [patch.into_row],
            positions: [patch.position],
            operation: { kind: 'replace', value: 'patch' },
          },
        ],
      },
      { patch: value },
    )
    await this.#compare('patched', 'patch.logits', rowOf(result.logits, patch.into_row))
  }

  async ablated(): Promise<void> {
    const { ablate } = this.reference.reference
    if (ablate === undefined || !this.reference.names.includes('ablate.logits')) return
    const result = await this.#run({
      interventions: [
        {
          hook: `blocks.${ablate.layer}.attn.hook_z`,
          heads: [ablate.head],
          operation: { kind: 'scale', factor: 0 },
        },
      ],
    })
    await this.#compare('ablated', 'ablate.logits', result.logits)
  }

  /** d (Σ over rows of last logit[tokA] − last logit[tokB]) / d activation, at every hook point that the case has. */
  async differentiated(): Promise<void> {
    const { tokA, tokB } = this.reference.reference
    const hooks = this.reference.names.flatMap((name) => hookOfGradient(name) ?? [])
    if (tokA === undefined || tokB === undefined || hooks.length === 0) return
    const metric = { kind: 'logit-difference' as const, positive: [tokA], negative: [tokB] }
    const result = await this.#run({ logits: 'none', backward: { metric, hooks } })
    for (const hook of hooks) await this.#compare('gradients', `${GRADIENT}${hook}`, result.gradients[hook])
  }

  /** Greedy continuations, plain and steered, token for token. */
  async generated(): Promise<void> {
    await this.#continuation('generate.ids', [], {})
    const steering = await this.#steering()
    if (steering !== null)
      await this.#continuation('steer.generate.ids', [steering.intervention], steering.tensors)
  }

  async #continuation(
    name: string,
    interventions: InterventionInput[],
    tensors: Record<string, Tensor>,
  ): Promise<void> {
    if (!this.reference.names.includes(name)) return
    const want = await this.reference.tokens(name)
    const request = generateRequest.parse({
      model: this.subject.fingerprint,
      rows: this.rows.map((tokens) => ({ tokens })),
      interventions,
      maxTokens: want[0].length - this.rows[0].length,
      stopAtEos: false,
    })
    const got = await this.subject.generate({ request, tensors: own(tensors) }, { signal: this.signal })
    const wrong = want.filter((ids, row) => [...this.rows[row], ...got[row].tokens].join() !== ids.join())
    this.#table.note('generation', name, wrong.length / want.length)
  }

  async #steering(): Promise<{ intervention: InterventionInput; tensors: Record<string, Tensor> } | null> {
    const block = this.reference.reference.steer_block
    if (block === undefined || !this.reference.names.includes('steer.vector')) return null
    const operation = { kind: 'add', value: 'steer' } as const
    return {
      intervention: { hook: `blocks.${block}.hook_resid_pre`, operation },
      tensors: { steer: await this.reference.tensor('steer.vector') },
    }
  }

  #run(request: Partial<RunRequestInput>, tensors: Record<string, Tensor> = {}): Promise<RunResult> {
    const full = runRequest.parse({
      model: this.subject.fingerprint,
      rows: this.rows,
      logits: 'all',
      ...request,
    })
    return this.subject.run({ request: full, tensors: own(tensors) }, { signal: this.signal })
  }

  async #compare(group: GroupName, name: string, got: Tensor | null | undefined): Promise<void> {
    if (!this.reference.names.includes(name)) return
    const want = await this.reference.tensor(name)
    this.#table.note(group, name, got === null || got === undefined ? Infinity : relativeError(got, want))
  }
}

const GRADIENT = 'grad.'

/** The hook point whose gradient a tensor is, by its name. */
function hookOfGradient(name: string): string | null {
  const hook = name.slice(GRADIENT.length)
  return name.startsWith(GRADIENT) && parseHook(hook) !== null ? hook : null
}

const own = (tensors: Record<string, Tensor>): RunInput['tensors'] =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, { shape, data }]) => [
      name,
      { shape: [...shape], data: data.slice() },
    ]),
  )

/** Row `row` of a tensor [batch, …]. */
function rowOf(tensor: Tensor | null, row: number): Tensor | null {
  if (tensor === null) return null
  const size = tensor.data.length / tensor.shape[0]
  return { shape: tensor.shape.slice(1), data: tensor.data.subarray(row * size, (row + 1) * size) }
}
