/** Shapes of hook points in symbols and in numbers. */
import type { HookPointInfo } from '../../../preload/model'

/** `[batch, pos, head 4, d_head 32]`: symbols, with this model's numbers where they are fixed. */
export const symbolicShape = (hook: Pick<HookPointInfo, 'dims' | 'sizes'>): string =>
  `[${hook.dims
    .map((dim, i) => {
      const size = hook.sizes[i]
      return size === null ? dim : dim === 'one' ? '1' : `${dim} ${size}`
    })
    .join(', ')}]`

/** `[1, 14, 4, 32]`: the shape for one prompt of `positions` tokens. */
export const actualShape = (hook: Pick<HookPointInfo, 'dims' | 'sizes'>, positions: number): string =>
  `[${hook.sizes.map((size, i) => size ?? (hook.dims[i] === 'batch' ? 1 : positions)).join(', ')}]`
