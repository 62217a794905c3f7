/** The maps of attribution patching, each with the places that its cells stand for. */
import type { AttributionPatching, EffectMap, PatchPlace } from '../../../preload/attribution'

export interface EffectPicture {
  id: 'residPre' | 'attnOut' | 'mlpOut' | 'heads'
  title: string
  columnTitle: string
  /** Columns are the base's positions, else heads. */
  byPosition: boolean
  map: EffectMap
  place: (row: number, column: number) => PatchPlace
}

/** The maps that a result has, in the order in which they are shown. */
export function picturesOf(
  result: Pick<AttributionPatching, 'residPre' | 'attnOut' | 'mlpOut' | 'heads'>,
): EffectPicture[] {
  const at =
    (site: string) =>
    (row: number, column: number): PatchPlace => ({ hook: `blocks.${row}.${site}`, positions: [column] })
  const byPosition = { columnTitle: 'position', byPosition: true }
  const all: (Omit<EffectPicture, 'map'> & { map: EffectMap | null })[] = [
    {
      id: 'residPre',
      title: 'Residual stream into a block',
      ...byPosition,
      map: result.residPre,
      place: at('hook_resid_pre'),
    },
    {
      id: 'heads',
      title: 'Heads, all positions',
      columnTitle: 'head',
      byPosition: false,
      map: result.heads,
      place: (row, column) => ({ hook: `blocks.${row}.attn.hook_z`, head: column }),
    },
    {
      id: 'attnOut',
      title: 'Attention output',
      ...byPosition,
      map: result.attnOut,
      place: at('hook_attn_out'),
    },
    { id: 'mlpOut', title: 'MLP output', ...byPosition, map: result.mlpOut, place: at('hook_mlp_out') },
  ]
  return all.flatMap((picture) => (picture.map === null ? [] : [{ ...picture, map: picture.map }]))
}

/** The `count` places of all maps with the largest estimated effects. */
export function largestPlaces(
  pictures: readonly EffectPicture[],
  count: number,
): { place: PatchPlace; estimate: number }[] {
  const all = pictures.flatMap(({ map: { effect }, place }) => {
    const [, columns] = effect.shape
    return Array.from(effect.data, (estimate, i) => ({
      estimate,
      row: Math.floor(i / columns),
      column: i % columns,
    }))
      .filter(({ estimate }) => Number.isFinite(estimate))
      .map(({ estimate, row, column }) => ({ place: place(row, column), estimate }))
  })
  return all.sort((a, b) => Math.abs(b.estimate) - Math.abs(a.estimate)).slice(0, count)
}
