/**
 * How a value of a graph looks from outside: an exporter keeps queries as [batch, head, pos, d_head] or flat, a hook point
 * is [batch, pos, head, d_head]. A view is a transposition, then a reshape; it can be undone.
 */
export interface View {
  /** Order of the value's axes, or null to leave them. */
  readonly perm: readonly number[] | null
  /** Target of a reshape after that (0 keeps an axis, one −1 takes what is left), and of the one that undoes it. */
  readonly shape: { readonly to: readonly number[]; readonly back: readonly number[] } | null
  /** Whether an axis of 1 is put in front, first of all: the batch, where a value is the same for all rows. */
  readonly lift: boolean
}

export const asItIs: View = { perm: null, shape: null, lift: false }

/** The order that undoes a transposition. */
export function inverse(perm: readonly number[]): number[] {
  const back = new Array<number>(perm.length)
  perm.forEach((axis, i) => (back[axis] = i))
  return back
}

/**
 * The view that makes [batch, pos, head, d_head] (or another order of names) of a value.
 * @param shape of the value
 * @param wanted dimensions in the order of the hook point; the last two are numbers
 * @returns null where the value holds something else
 */
export function viewAs(
  shape: readonly (number | string)[],
  wanted: readonly (number | string)[],
): View | null {
  if (shape.join() === wanted.join()) return asItIs
  if (shape.length === wanted.length) {
    const perm = orderOf(shape, wanted)
    return perm === null ? null : { ...asItIs, perm }
  }
  const inner = wanted.slice(-2)
  const [count, width] = inner
  if (typeof count !== 'number' || typeof width !== 'number' || shape.length !== wanted.length - 1)
    return null
  const flat = [...wanted.slice(0, -2), count * width]
  if (shape.join() !== flat.join()) return null
  const kept = wanted.slice(0, -2).map(() => 0)
  return { ...asItIs, shape: { to: [...kept, count, width], back: [...kept, -1] } }
}

/** Which axis of `shape` each of `wanted` is; of equal ones the first that is left. */
function orderOf(shape: readonly (number | string)[], wanted: readonly (number | string)[]): number[] | null {
  const free = new Set(shape.keys())
  const perm: number[] = []
  for (const dim of wanted) {
    const axis = [...free].find((candidate) => shape[candidate] === dim)
    if (axis === undefined) return null
    free.delete(axis)
    perm.push(axis)
  }
  return perm
}
