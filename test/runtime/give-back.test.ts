import { describe, expect, it } from 'vitest'
import { giveBack } from '../../main/runtime/give-back'
import { KeyValueCache } from '../../main/runtime/kv'
import { floats } from '../../main/runtime/session'

describe('memory that is given back', () => {
  it('leaves the arrays empty, also where several look at the same memory', () => {
    const whole = Float32Array.of(1, 2, 3, 4)
    const part = whole.subarray(1, 3)
    giveBack([whole, part])
    expect([whole.length, part.length]).toEqual([0, 0])
  })

  it('takes arrays that are empty already', () => {
    const array = Float32Array.of(1)
    giveBack([array])
    expect(() => giveBack([array, new Float32Array(0)])).not.toThrow()
  })

  it('is not that of a cache which was picked from a released one', () => {
    const layer = () => ({
      key: floats(Float32Array.of(1, 2), [2, 1, 1, 1]),
      value: floats(Float32Array.of(3, 4), [2, 1, 1, 1]),
    })
    const cache = new KeyValueCache(2, 1, Int32Array.of(0, 0), [layer(), null])
    const picked = cache.select([1])
    cache.release()
    expect(cache.layers[0]?.key.data).toHaveLength(0)
    expect([...(picked.layers[0]?.key.data ?? [])]).toEqual([2])
    expect([...(picked.layers[0]?.value.data ?? [])]).toEqual([4])
  })
})
