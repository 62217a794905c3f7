/** The prompts that a mean or a resampled activation comes from: those of the pairs, or others, one a line. */
import {
  computed,
  onScopeDispose,
  ref,
  shallowRef,
  watch,
  type ComputedRef,
  type Ref,
  type ShallowRef,
} from 'vue'
import { asPatchbayError, type PatchbayError } from '../../../preload/errors'
import { services } from '../../services'
import { useModels } from '../../stores/models'
import { pause, usePrompt } from '../../stores/prompt'

/** As many as a request takes. */
export const mostRows = 4096

export interface SourceRows {
  from: Ref<'pairs' | 'lines'>
  /** One prompt a line. */
  text: Ref<string>
  /** Token ids; null until all lines are encoded. */
  lines: Readonly<ShallowRef<readonly number[][] | null>>
  encoded: Readonly<Ref<number>>
  count: ComputedRef<number>
  error: Readonly<ShallowRef<PatchbayError | null>>
}

export const linesOf = (text: string): string[] =>
  text
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '')
    .slice(0, mostRows)

/** Rows that are long enough to be resampled at every position. */
export const longEnough = (rows: readonly number[][], length: number): number[][] =>
  rows.filter((row) => row.length >= length)

export function useSourceRows(): SourceRows {
  const models = useModels()
  const prompt = usePrompt()
  const from = ref<'pairs' | 'lines'>('pairs')
  const text = ref('')
  const lines = shallowRef<readonly number[][] | null>(null)
  const encoded = ref(0)
  const error = shallowRef<PatchbayError | null>(null)
  const known = new Map<string, number[]>()
  let abort: AbortController | null = null
  let timer: ReturnType<typeof setTimeout> | undefined

  async function encode(): Promise<void> {
    abort?.abort()
    const model = models.handle
    const wanted = linesOf(text.value)
    if (model === null || from.value !== 'lines' || wanted.length === 0) return
    const mine = (abort = new AbortController())
    const { bos } = prompt.drafts.A
    try {
      const rows: number[][] = []
      for (const line of wanted) {
        const key = JSON.stringify([model, bos, line])
        const row =
          known.get(key) ??
          (
            await services().engine.call(
              'prompt.encode',
              { model, prompt: { kind: 'text', text: line, bos } },
              { signal: mine.signal },
            )
          ).tokens.map(({ id }) => id)
        if (abort !== mine) return
        known.set(key, row)
        rows.push(row)
        encoded.value = rows.length
      }
      lines.value = rows
    } catch (thrown) {
      if (abort === mine) error.value = asPatchbayError(thrown)
    }
  }
  watch(
    [text, from, () => models.handle, () => prompt.drafts.A.bos],
    () => {
      abort?.abort()
      abort = null
      lines.value = null
      encoded.value = 0
      error.value = null
      clearTimeout(timer)
      timer = setTimeout(() => void encode(), pause)
    },
    { flush: 'post' },
  )
  onScopeDispose(() => {
    clearTimeout(timer)
    abort?.abort()
  })
  return { from, text, lines, encoded, count: computed(() => linesOf(text.value).length), error }
}
