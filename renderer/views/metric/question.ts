/**
 * What a view of causes asks about: the metric (which tokens, after which position), the prompt, and the pair of a clean
 * and a corrupt prompt. Tokens are chosen by themselves until a person chooses.
 */
import { computed, inject, provide, ref, shallowRef, watch } from 'vue'
import type { ComputedRef, InjectionKey, Ref, ShallowRef } from 'vue'
import type { AttributionMetric } from '../../../preload/attribution'
import type { EncodedToken, TokenInfo } from '../../../preload/prompt'
import type { NextTokens } from '../../../preload/views'
import { useQuery, type Query } from '../../queries/query'
import { useModels } from '../../stores/models'
import { usePrompt } from '../../stores/prompt'
import { useSelection } from '../../stores/selection'
import type { LinearMetric } from './linear'
import type { MetricKind } from './metric-words'

export type Side = 'towards' | 'against'

export interface Question {
  kind: Ref<MetricKind>
  /** Read after the last token of each prompt, or after the selected position. */
  where: Ref<'last' | 'selected'>
  position: ComputedRef<'last' | number>
  towards: ComputedRef<TokenInfo | null>
  against: ComputedRef<TokenInfo | null>
  /** Whether the tokens are the view's own choice. */
  automatic: ComputedRef<boolean>
  choose: (side: Side, token: TokenInfo) => void
  /** The weighted sum; only of views whose metrics it is among. */
  linear: ShallowRef<LinearMetric>
  swap: () => void
  reset: () => void
  /** Likely tokens after the metric's position in the clean prompt, and after the last one of the corrupt prompt. */
  candidates: Query<NextTokens>
  corruptCandidates: Query<NextTokens>
  /** Null while its tokens are missing, and for metrics that are not attributed. */
  metric: ComputedRef<AttributionMetric | null>
  /** The prompt itself, and the pair; null while one of them is not there. */
  subject: ComputedRef<{ model: string; tokens: number[] } | null>
  pair: ComputedRef<{ model: string; clean: number[]; corrupt: number[] } | null>
  cleanTokens: ComputedRef<readonly EncodedToken[]>
  corruptTokens: ComputedRef<readonly EncodedToken[]>
}

const key: InjectionKey<Question> = Symbol('question')

/** Makes the question of the view and offers it to the components below. */
export function provideQuestion(): Question {
  const models = useModels()
  const selection = useSelection()
  const { A, B } = usePrompt().slots

  const kind = ref<MetricKind>('logit-difference')
  const where = ref<'last' | 'selected'>('last')
  const own = { towards: shallowRef<TokenInfo | null>(null), against: shallowRef<TokenInfo | null>(null) }

  const subject = computed(() =>
    models.handle === null || A.tokens === null ? null : { model: models.handle, tokens: A.tokens },
  )
  const pair = computed(() =>
    subject.value === null || B.tokens === null
      ? null
      : { model: subject.value.model, clean: subject.value.tokens, corrupt: B.tokens },
  )
  const position = computed(() => (where.value === 'last' ? 'last' : selection.current.position))
  const after = computed(() => {
    const last = (subject.value?.tokens.length ?? 1) - 1
    return position.value === 'last' ? last : Math.min(position.value, last)
  })
  const options = { remember: 8 }
  const candidates = useQuery(
    'logits.next',
    () => subject.value && { ...subject.value, position: after.value, count: 8 },
    { title: 'Next token', ...options },
  )
  const corruptCandidates = useQuery(
    'logits.next',
    () =>
      pair.value && {
        model: pair.value.model,
        tokens: pair.value.corrupt,
        position: pair.value.corrupt.length - 1,
        count: 12,
      },
    { title: 'Next token of the corrupt prompt', ...options },
  )

  const top = computed(() => candidates.data.value?.top ?? [])
  const towards = computed(() => own.towards.value ?? top.value.at(0) ?? null)
  /** What the corrupt prompt expects, where that is another token; else the runner-up. */
  const against = computed(() => {
    const others = [...(corruptCandidates.data.value?.top.slice(0, 1) ?? []), ...top.value]
    return own.against.value ?? others.find(({ id }) => id !== towards.value?.id) ?? null
  })
  const metric = computed<AttributionMetric | null>(() => {
    const token = towards.value
    const chosen = kind.value
    if (token === null) return null
    switch (chosen) {
      case 'logit':
      case 'log-probability':
        return { kind: chosen, token: token.id, position: position.value }
      case 'logit-difference':
        if (against.value === null || against.value.id === token.id) return null
        return { kind: chosen, positive: token.id, negative: against.value.id, position: position.value }
      default:
        return null
    }
  })

  const linear = shallowRef<LinearMetric>({ of: 'logits', terms: [] })
  const forget = (): void => {
    own.towards.value = null
    own.against.value = null
    linear.value = { ...linear.value, terms: [] }
  }
  watch(() => models.handle, forget)

  const question: Question = {
    kind,
    where,
    position,
    towards,
    against,
    linear,
    automatic: computed(
      () => own.towards.value === null && own.against.value === null && linear.value.terms.length === 0,
    ),
    choose(side, token) {
      own[side].value = token
      const other = side === 'towards' ? 'against' : 'towards'
      if (own[other].value?.id === token.id) own[other].value = null
    },
    swap() {
      const [plus, minus] = [towards.value, against.value]
      own.towards.value = minus
      own.against.value = plus
    },
    reset: forget,
    candidates,
    corruptCandidates,
    metric,
    subject,
    pair,
    cleanTokens: computed(() => A.encoded?.tokens ?? []),
    corruptTokens: computed(() => B.encoded?.tokens ?? []),
  }
  provide(key, question)
  return question
}

/** @throws Error outside of a view that has one; a defect */
export function useQuestion(): Question {
  const question = inject(key, null)
  if (question === null) throw new Error('useQuestion() outside of a view that has one')
  return question
}
