/** Collects comparisons group by group: how many, and the worst. */
import { exactGroups, groupNames, type CertificateGroup, type GroupName } from '../../../preload/certificate'
import { GRADIENTS } from './tolerances'

export interface GroupResult {
  readonly group: GroupName
  /** Tensors or texts compared. */
  readonly count: number
  /** Worst relative error, max|a − b| / max|b| over a tensor; for exact groups the share of entries that differ. */
  readonly worst: number
  readonly worstTensor: string
}

export class GroupTable {
  private readonly groups = new Map<GroupName, GroupResult>()

  note(group: GroupName, name: string, error: number): void {
    const before = this.groups.get(group)
    const worse = before === undefined || error > before.worst
    this.groups.set(group, {
      group,
      count: (before?.count ?? 0) + 1,
      worst: worse ? error : before.worst,
      worstTensor: worse ? name : before.worstTensor,
    })
  }

  /** For what must agree exactly: the share of entries that differ (1 where the lengths do). */
  noteEqual(group: GroupName, name: string, got: readonly unknown[], want: readonly unknown[]): void {
    const different = want.filter((value, i) => value !== got[i]).length
    this.note(group, name, got.length === want.length ? different / Math.max(1, want.length) : 1)
  }

  results(): GroupResult[] {
    return groupNames.flatMap((name) => this.groups.get(name) ?? [])
  }
}

/** What a group may be off by where activations may be `tolerance` off: a gradient goes through the model twice. */
export function allowed(group: GroupName, tolerance: number): number {
  if (exactGroups.has(group)) return 0
  return group === 'gradients' ? GRADIENTS * tolerance : tolerance
}

/** At least one group, and none beyond the tolerance. */
export const passes = (groups: readonly GroupResult[], tolerance: number): boolean =>
  groups.length > 0 && groups.every(({ group, worst }) => worst <= allowed(group, tolerance))

/** Results as a certificate states them: each with its tolerance, and whether it passed. */
export const graded = (groups: readonly GroupResult[], tolerance: number): CertificateGroup[] =>
  groups.map(({ group, count, worst, worstTensor }) => {
    const most = allowed(group, tolerance)
    // JSON has no infinity, which stands for shapes that differ and for numbers that are none.
    const stated = Number.isFinite(worst) ? worst : null
    return { group, count, worst: stated, worstTensor, tolerance: most, passed: worst <= most }
  })
