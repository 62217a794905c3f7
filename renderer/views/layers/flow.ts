/**
 * How a block's hook points lie along its data flow: the residual stream as a spine, attention and MLP as branches that
 * leave it and are added to it again. In blocks whose branches run in parallel both leave from the same place.
 */
import type { HookPointInfo } from '../../../preload/model'

/** Columns of the drawing: the spine, then the branches. */
export type Lane = 0 | 1 | 2

export interface Flow {
  lane: Lane
  /** What is drawn at the hook point: on the residual stream, its sum after a branch, or something on a branch. */
  mark: 'stream' | 'sum' | 'branch'
  /** The row's branch leaves the spine here. */
  leaves: boolean
  /** The row's branch is added to the spine below. */
  joins: boolean
  /** Branches that pass by this row without a hook point in it. */
  passing: readonly Lane[]
}

const onStream = new Set(['hook_resid_pre', 'hook_resid_mid', 'hook_resid_post'])
const inAttention = (site: string) =>
  site.startsWith('ln1.') || site.startsWith('attn.') || site === 'hook_attn_out'

/** The drawing beside each of a block's hook points, which come in the order of the forward pass. */
export function blockFlow(hooks: readonly HookPointInfo[]): Flow[] {
  const parallel = !hooks.some((hook) => hook.site === 'hook_resid_mid')
  const laneOf = (site: string): Lane => {
    if (onStream.has(site)) return 0
    return parallel && !inAttention(site) ? 2 : 1
  }
  const lanes = hooks.map((hook) => laneOf(hook.site))
  const attention = (i: number) => inAttention(hooks[i].site)
  return hooks.map((hook, i) => {
    const lane = lanes[i]
    if (lane === 0)
      return {
        lane,
        mark: hook.site === 'hook_resid_pre' ? 'stream' : 'sum',
        leaves: false,
        joins: false,
        passing: [],
      }
    const firstOfBranch = i === 0 || lanes[i - 1] === 0 || attention(i - 1) !== attention(i)
    const lastOfBranch = i === hooks.length - 1 || lanes[i + 1] === 0 || attention(i + 1) !== attention(i)
    return {
      lane,
      mark: 'branch',
      leaves: firstOfBranch,
      joins: lastOfBranch,
      // In a parallel block the other branch runs beside this one, from the same input to the same sum.
      passing:
        parallel && hooks.some((_, j) => lanes[j] !== 0 && lanes[j] !== lane) ? [lane === 1 ? 2 : 1] : [],
    }
  })
}

/** Outside of blocks all lies on the stream itself. */
export const outerFlow = (site: string): Flow => ({
  lane: 0,
  mark: site === 'hook_pos_embed' ? 'sum' : 'stream',
  leaves: false,
  joins: false,
  passing: [],
})
