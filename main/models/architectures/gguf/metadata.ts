/**
 * Reading GGUF's metadata for an architecture: keys stand behind the architecture's name (`llama.block_count`). A key of
 * the architecture that nobody asked for is refused by name, as in config.json.
 */
import { PatchbayError } from '../../../../preload/errors'
import type { Checkpoint } from '../../formats/checkpoint'
import { ggufBoolean, ggufBooleans, ggufNumber, ggufString } from '../../formats/gguf/values'
import type { RopeScaling } from '../../rope'
import { unsupported } from '../config'

/** Keys that change no number: sizes that the tensors show, and what only llama.cpp needs. */
const harmless = ['vocab_size', 'tensor_data_layout', 'attention.causal', 'embedding_length_out']

export class GgufSettings {
  readonly #asked = new Set<string>(harmless)
  readonly label: string

  constructor(
    readonly checkpoint: Checkpoint,
    readonly architecture: string,
    label: string,
  ) {
    this.label = `${label} GGUF`
  }

  /** The number behind `key`. Throws `model.incomplete` where it is absent and has no default. */
  number(key: string, fallback?: number): number {
    const value = this.optional(key) ?? fallback
    if (value === undefined)
      throw new PatchbayError('model.incomplete', `The GGUF file does not say ${this.architecture}.${key}.`, {
        next: 'Convert the model again with a current converter.',
        field: `${this.architecture}.${key}`,
      })
    return value
  }

  optional(key: string): number | undefined {
    this.#asked.add(key)
    return ggufNumber(this.checkpoint.metadata, `${this.architecture}.${key}`)
  }

  string(key: string): string | undefined {
    this.#asked.add(key)
    return ggufString(this.checkpoint.metadata, `${this.architecture}.${key}`)
  }

  boolean(key: string): boolean | undefined {
    this.#asked.add(key)
    return ggufBoolean(this.checkpoint.metadata, `${this.architecture}.${key}`)
  }

  /** One true or false for each layer, where the file says so; undefined where it says nothing or a single number. */
  booleans(key: string): readonly boolean[] | undefined {
    this.#asked.add(key)
    const name = `${this.architecture}.${key}`
    return this.checkpoint.metadata.get(name)?.type === 'array'
      ? ggufBooleans(this.checkpoint.metadata, name)
      : undefined
  }

  /** Size of dimension `axis` of a tensor. */
  size(tensor: string, axis: number): number {
    const entry = this.checkpoint.tensors.get(tensor)
    if (entry === undefined)
      throw new PatchbayError('model.incomplete', `The GGUF file has no tensor ${tensor}.`, {
        next: 'Convert or download the model again.',
        field: tensor,
      })
    return entry.shape[axis]
  }

  has(tensor: string): boolean {
    return this.checkpoint.tensors.has(tensor)
  }

  /** Throws `model.unsupported` for a key of the architecture that was not asked for. */
  refuseUnread(): void {
    const prefix = `${this.architecture}.`
    for (const key of this.checkpoint.metadata.keys())
      if (key.startsWith(prefix) && !this.#asked.has(key.slice(prefix.length)))
        throw unsupported(this.label, key, 'is not understood')
  }
}

/** Rotary scaling as GGUF says it: divisors as a tensor, or `rope.scaling.*`. */
export async function ggufRopeScaling(settings: GgufSettings, dim: number): Promise<RopeScaling> {
  if (settings.has('rope_freqs.weight')) {
    const divisors = await settings.checkpoint.readFloat32('rope_freqs.weight')
    if (divisors.length * 2 !== dim)
      throw unsupported(settings.label, 'rope_freqs.weight', `has not ${dim / 2} elements`)
    return { kind: 'divisors', divisors: Array.from(divisors) }
  }
  const kind = settings.string('rope.scaling.type') ?? 'none'
  const originalLength =
    settings.optional('rope.scaling.original_context_length') ?? settings.number('context_length')
  switch (kind) {
    case 'none':
      return { kind: 'default' }
    case 'linear':
      return { kind: 'linear', factor: settings.number('rope.scaling.factor') }
    case 'yarn': {
      const factor = settings.number('rope.scaling.factor')
      const multiplier = settings.number('rope.scaling.attn_factor', 1)
      return {
        kind: 'yarn',
        factor,
        originalLength,
        betaFast: settings.number('rope.scaling.yarn_beta_fast', 32),
        betaSlow: settings.number('rope.scaling.yarn_beta_slow', 1),
        truncate: true,
        attentionFactor: multiplier * (factor <= 1 ? 1 : 0.1 * Math.log(factor) + 1),
      }
    }
    default:
      throw unsupported(
        settings.label,
        `${settings.architecture}.rope.scaling.type`,
        `is "${kind}", which is not known`,
      )
  }
}
