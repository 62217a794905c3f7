/** The run of one site of a sweep, asked for once and shared by everything that looks closer at the place. */
import { computed, type ComputedRef } from 'vue'
import type { CallInput, CallOutput } from '../../../preload/api'
import type { Intervention } from '../../../preload/run'
import type { PanelState } from '../../components/panel-state'
import { useQuery, type Query } from '../../queries/query'
import type { Place } from './place'

export type SiteRun = CallOutput<'sweep.site'>

/** The selected place with its run. */
export interface LookedAt {
  place: ComputedRef<Place | null>
  /** Handle of the model; null while no place is selected. */
  model: ComputedRef<string | null>
  run: Query<SiteRun>
}

/** @param input of the sweep, with the site; null until a place is selected */
export function useSiteRun(place: () => Place | null, input: () => CallInput<'sweep.site'> | null): LookedAt {
  return {
    place: computed(place),
    model: computed(() => input()?.model ?? null),
    run: useQuery('sweep.site', input, { title: 'Patched place', remember: 16 }),
  }
}

/** The patched run and, as a second row, the same without the patch. */
export function besideBase({ request: { rows, interventions }, base }: SiteRun): {
  rows: number[][]
  interventions: Intervention[]
} {
  return {
    rows: [rows[0], rows[0]],
    interventions: interventions.map((one, i) => (i < base ? one : { ...one, rows: [0] })),
  }
}

/** Hook points at which the run differs from its base. */
export const patchedHooks = ({ request, base }: SiteRun): string[] =>
  request.interventions.slice(base).map(({ hook }) => hook)

/** The state of a panel whose picture comes from several calls, each asked with what the one before it gave. */
export const chainState = (...queries: Query<unknown>[]): ComputedRef<PanelState> =>
  computed(() => {
    const failed = queries.find(({ error }) => error.value !== null)
    return {
      filled: queries.every(({ data }) => data.value !== null),
      stale: queries.some(({ stale }) => stale.value),
      pending: failed === undefined && queries.some(({ pending }) => pending.value),
      fraction: null,
      error: failed?.error.value ?? null,
      retry: failed?.retry,
    }
  })
