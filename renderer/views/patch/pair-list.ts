/**
 * The pairs of prompts that a sweep averages over. The first is that of the bar; the others are written here, encoded as
 * they are written, and have metric tokens of their own: chosen, or suggested.
 */
import { computed, markRaw, onScopeDispose, reactive, watch, type ComputedRef } from 'vue'
import { asPatchbayError, PatchbayError } from '../../../preload/errors'
import type { EncodedPrompt, TokenInfo } from '../../../preload/prompt'
import type { Candidate } from '../../../preload/views'
import { mirrored, type EncodedPair } from '../../pairs/mirrored'
import { useQueries } from '../../queries/queries'
import { services } from '../../services'
import { useModels } from '../../stores/models'
import { pause, usePrompt } from '../../stores/prompt'
import type { LinearTerm } from '../metric/linear'
import type { Question, Side } from '../metric/question'
import { mostPairs, type PromptPair } from './pairs-file'

/** A pair that is written here. */
interface WrittenPair {
  readonly id: number
  clean: string
  corrupt: string
  encoded: { clean: EncodedPrompt; corrupt: EncodedPrompt } | null
  error: PatchbayError | null
  /** Chosen by a person, or by the file that it came from. */
  chosen: Record<Side, TokenInfo | null>
}

/** How a metric token came to be one. */
export type TokenOrigin = 'chosen' | 'mirrored' | 'predicted'

export interface MetricToken {
  token: TokenInfo
  origin: TokenOrigin
}

export interface ListedPair {
  /** 0 for the pair of the bar. */
  id: number
  clean: string
  corrupt: string
  encoded: EncodedPair | null
  error: PatchbayError | null
  towards: MetricToken | null
  against: MetricToken | null
  /** Of a weighted sum: the first pair's terms, words of its prompts as they are in this one. */
  terms: readonly LinearTerm[]
  /** Likely next tokens after both prompts. */
  candidates: { clean: readonly Candidate[]; corrupt: readonly Candidate[] }
}

export interface PairList {
  pairs: ComputedRef<readonly ListedPair[]>
  /** Whether more can be added. */
  full: ComputedRef<boolean>
  add: (pair: PromptPair) => void
  write: (id: number, side: 'clean' | 'corrupt', text: string) => void
  remove: (id: number) => void
  clear: () => void
  /** Null leaves the choice to the view again. */
  choose: (id: number, side: Side, token: TokenInfo | null) => void
}

const nobody = { clean: [], corrupt: [] } as const

/** @param question about metric and prompts: the first pair's */
export function usePairList(question: Question): PairList {
  const models = useModels()
  const prompt = usePrompt()
  const { A, B } = prompt.slots
  const written = reactive<WrittenPair[]>([])
  const timers = new Map<number, ReturnType<typeof setTimeout>>()
  let next = 1

  async function encode(id: number): Promise<void> {
    const pair = written.find((one) => one.id === id)
    const model = models.handle
    if (pair === undefined || model === null) return
    const { clean, corrupt } = pair
    if (clean === '' || corrupt === '') {
      Object.assign(pair, { encoded: null, error: null })
      return
    }
    const current = () => pair.clean === clean && pair.corrupt === corrupt && models.handle === model
    const { bos } = prompt.drafts.A
    try {
      const [left, right] = await Promise.all(
        [clean, corrupt].map((text) =>
          services().engine.call('prompt.encode', { model, prompt: { kind: 'text', text, bos } }),
        ),
      )
      if (current()) Object.assign(pair, { encoded: markRaw({ clean: left, corrupt: right }), error: null })
    } catch (thrown) {
      if (current()) Object.assign(pair, { encoded: null, error: asPatchbayError(thrown) })
    }
  }
  /** The one token that a file gave as an answer; several are no metric token, and then the view suggests one. */
  async function find(pair: WrittenPair, side: Side, text: string | undefined): Promise<void> {
    const model = models.handle
    if (text === undefined || model === null) return
    try {
      const found = await services().engine.call('tokens.find', { model, text })
      if (found.length === 1) pair.chosen[side] = found[0]
      else
        pair.error = new PatchbayError(
          'input.invalid',
          `The answer ${JSON.stringify(text)} is ${found.length} tokens of this model, not one.`,
          { next: 'Most words begin with a space; or choose a token below.' },
        )
    } catch (thrown) {
      pair.error = asPatchbayError(thrown)
    }
  }

  function add({ clean, corrupt, answer, wrong }: PromptPair): void {
    if (written.length >= mostPairs) return
    const id = next++
    written.push({
      id,
      clean,
      corrupt,
      encoded: null,
      error: null,
      chosen: { towards: null, against: null },
    })
    const pair = written[written.length - 1]
    void encode(id).then(async () => {
      await find(pair, 'towards', answer)
      await find(pair, 'against', wrong)
    })
  }
  function write(id: number, side: 'clean' | 'corrupt', text: string): void {
    const pair = written.find((one) => one.id === id)
    if (pair === undefined) return
    pair[side] = text
    clearTimeout(timers.get(id))
    timers.set(
      id,
      setTimeout(() => void encode(id), pause),
    )
  }
  function drop(which: (pair: WrittenPair) => boolean): void {
    for (const { id } of written.filter(which)) {
      clearTimeout(timers.get(id))
      timers.delete(id)
    }
    written.splice(0, written.length, ...written.filter((pair) => !which(pair)))
  }
  function choose(id: number, side: Side, token: TokenInfo | null): void {
    if (id === 0) {
      if (token === null) question.reset()
      else question.choose(side, token)
      return
    }
    const pair = written.find((one) => one.id === id)
    if (pair !== undefined) pair.chosen[side] = token
  }
  // Another model, or prompts that begin otherwise: the ids mean something else.
  watch([() => models.handle, () => prompt.drafts.A.bos], ([handle], [before]) => {
    for (const pair of written) {
      pair.encoded = null
      if (handle !== before) pair.chosen = { towards: null, against: null }
      void encode(pair.id)
    }
  })
  onScopeDispose(() => timers.forEach(clearTimeout))

  const nextInput = (encoded: EncodedPrompt, position: 'last' | number) => ({
    model: models.handle ?? '',
    tokens: encoded.tokens.map(({ id }) => id),
    position: position === 'last' ? encoded.tokens.length - 1 : Math.min(position, encoded.tokens.length - 1),
    count: 8,
  })
  const asked = computed(() => {
    const ready = written.flatMap(({ encoded }) => (encoded === null ? [] : [encoded]))
    if (models.handle === null || ready.length === 0) return null
    const at = question.position.value
    return ready.flatMap(({ clean, corrupt }) => [nextInput(clean, at), nextInput(corrupt, at)])
  })
  const predictions = useQueries('logits.next', () => asked.value, {
    title: 'Next tokens of the pairs',
    remember: 4 * mostPairs,
  })
  const likely = computed(
    () =>
      new Map(
        (predictions.data.value ?? []).map(({ input, output }) => [JSON.stringify(input.tokens), output.top]),
      ),
  )

  const first = computed<ListedPair>(() => {
    const { towards, against, candidates, corruptCandidates, automatic } = question
    const origin: TokenOrigin = automatic.value ? 'predicted' : 'chosen'
    const named = (token: TokenInfo | null): MetricToken | null => (token === null ? null : { token, origin })
    return {
      id: 0,
      clean: prompt.drafts.A.text,
      corrupt: prompt.drafts.B.text,
      // Noise alone may make the corrupt run: then there is no other prompt.
      encoded: A.encoded && { clean: A.encoded.tokens, corrupt: B.encoded?.tokens ?? [] },
      error: A.error ?? B.error,
      towards: named(towards.value),
      against: named(against.value),
      terms: question.linear.value.terms,
      candidates: {
        clean: candidates.data.value?.top ?? [],
        corrupt: corruptCandidates.data.value?.top ?? [],
      },
    }
  })

  function listed(pair: WrittenPair): ListedPair {
    const { id, clean, corrupt, error, chosen } = pair
    const encoded: EncodedPair | null = pair.encoded && {
      clean: pair.encoded.clean.tokens,
      corrupt: pair.encoded.corrupt.tokens,
    }
    const tops = (side: 'clean' | 'corrupt'): readonly Candidate[] =>
      encoded === null ? [] : (likely.value.get(JSON.stringify(encoded[side].map((token) => token.id))) ?? [])
    const candidates = encoded === null ? nobody : { clean: tops('clean'), corrupt: tops('corrupt') }
    const both = [...candidates.clean, ...candidates.corrupt]
    const mirror = (token: TokenInfo): TokenInfo | null =>
      first.value.encoded === null || encoded === null
        ? null
        : mirrored(token, first.value.encoded, encoded, both)
    const pick = (side: Side, predicted: TokenInfo | undefined): MetricToken | null => {
      if (chosen[side] !== null) return { token: chosen[side], origin: 'chosen' }
      const original = first.value[side]
      const twin = original === null ? null : mirror(original.token)
      if (twin !== null) return { token: twin, origin: 'mirrored' }
      return predicted === undefined ? null : { token: predicted, origin: 'predicted' }
    }
    const towards = pick('towards', candidates.clean.at(0))
    const others = [...candidates.corrupt.slice(0, 1), ...candidates.clean]
    const against = pick(
      'against',
      others.find((token) => token.id !== towards?.token.id),
    )
    const terms = first.value.terms.map(({ token, weight }) => ({ token: mirror(token) ?? token, weight }))
    return { id, clean, corrupt, encoded, error, towards, against, terms, candidates }
  }

  return {
    pairs: computed(() => [first.value, ...written.map(listed)]),
    full: computed(() => written.length >= mostPairs),
    add,
    write,
    remove: (id) => drop((pair) => pair.id === id),
    clear: () => drop(() => true),
    choose,
  }
}
