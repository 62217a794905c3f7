/** Receivers of path patching as a person writes them: "L3H1 q, L2 mlp, logits". */
import type { PatchPlace } from '../../../preload/attribution'
import { PatchbayError } from '../../../preload/errors'
import { hookName } from '../../../preload/hooks'

export type ReceiverInput = 'q' | 'k' | 'v' | 'mlp' | 'logits'

/** An input that hears the senders; a head of q is a query head, of k and v a key/value head. */
export interface Receiver {
  input: ReceiverInput
  /** 0 of logits. */
  layer: number
  /** Null of MLPs and logits. */
  head: number | null
}

export interface Sizes {
  layers: number
  heads: number
  kvHeads: number
}

const sites = { q: 'attn.hook_q', k: 'attn.hook_k', v: 'attn.hook_v' } as const

export const receiverText = ({ input, layer, head }: Receiver): string =>
  input === 'logits' ? 'logits' : input === 'mlp' ? `L${layer} mlp` : `L${layer}H${head} ${input}`

export const sameReceiver = (a: Receiver, b: Receiver): boolean => receiverText(a) === receiverText(b)

/** Where the value that a receiver reads stands: what the MLP's norm gives; of the logits, the last residual stream. */
export function receiverPlace({ input, layer, head }: Receiver, { layers }: Sizes): PatchPlace {
  if (input === 'logits') return { hook: hookName({ layer: layers - 1, site: 'hook_resid_post' }) }
  if (input === 'mlp') return { hook: hookName({ layer, site: 'ln2.hook_normalized' }) }
  return { hook: hookName({ layer, site: sites[input] }), ...(head === null ? {} : { head }) }
}

const refuse = (what: string, next: string): PatchbayError =>
  new PatchbayError('input.invalid', `${what}.`, { next, field: 'receivers' })

/**
 * @param text receivers between commas; "L3H1" alone is its query, key and value heads have numbers of their own
 * @throws PatchbayError `input.invalid` for what is none, and for layers and heads that the model does not have
 */
export function receiversOf(text: string, { layers, heads, kvHeads }: Sizes): Receiver[] {
  const found: Receiver[] = []
  for (const word of text.split(/[,;\n]/)) {
    const written = word.trim()
    if (written === '') continue
    const shown = JSON.stringify(written.slice(0, 40))
    if (/^logits$/i.test(written)) {
      found.push({ input: 'logits', layer: 0, head: null })
      continue
    }
    const [, layerText, headText, inputText] =
      /^L(\d{1,4})\s*(?:H\s*(\d{1,4}))?\s*(q|k|v|mlp)?$/i.exec(written) ?? []
    const input = (inputText ?? (headText === undefined ? 'mlp' : 'q')).toLowerCase() as ReceiverInput
    if (layerText === undefined || (input === 'mlp') !== (headText === undefined))
      throw refuse(`${shown} is no receiver`, 'Write for instance: L3H1 q, L2 mlp, logits.')
    const layer = Number(layerText)
    if (layer >= layers) throw refuse(`${shown}: the model has ${layers} layers`, 'Layers count from 0.')
    const head = headText === undefined ? null : Number(headText)
    const most = input === 'q' ? heads : kvHeads
    if (head !== null && head >= most)
      throw refuse(
        `${shown}: the model has ${most} ${input === 'q' ? 'heads' : 'key/value heads'}`,
        'Heads count from 0.',
      )
    found.push({ input, layer, head })
  }
  return found.filter((one, i) => found.findIndex((other) => sameReceiver(one, other)) === i)
}
