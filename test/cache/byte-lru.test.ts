import fc from 'fast-check'
import { expect, it } from 'vitest'
import { ByteLru } from '../../main/cache/byte-lru'

it('drops what was used longest ago', () => {
  const lru = new ByteLru<string>(3, (value) => value.length)
  lru.set('a', 'x')
  lru.set('b', 'x')
  lru.set('c', 'x')
  lru.get('a')
  lru.set('d', 'x')
  expect(['a', 'b', 'c', 'd'].filter((key) => lru.get(key) !== undefined)).toEqual(['a', 'c', 'd'])
})

it('does not keep what is larger than its bound, nor drop others for it', () => {
  const lru = new ByteLru<string>(3, (value) => value.length)
  lru.set('a', 'xx')
  lru.set('b', 'xxxx')
  expect(lru.get('a')).toBe('xx')
  expect(lru.get('b')).toBeUndefined()
})

it('never exceeds its bound and counts its bytes, whatever is done to it', () => {
  const step = fc.record({
    key: fc.constantFrom('a', 'b', 'c', 'ab'),
    bytes: fc.nat(6),
    op: fc.constantFrom('set', 'get', 'delete'),
  })
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const lru = new ByteLru<number>(8, (bytes) => bytes)
      for (const { key, bytes, op } of steps) {
        if (op === 'set') lru.set(key, bytes)
        else if (op === 'get') lru.get(key)
        else lru.delete(key)
        const kept = ['a', 'b', 'c', 'ab'].map((k) => lru.get(k)).filter((value) => value !== undefined)
        expect(lru.bytes).toBe(kept.reduce((sum, value) => sum + value, 0))
        expect(lru.bytes).toBeLessThanOrEqual(8)
        expect(lru.size).toBe(kept.length)
      }
      lru.deleteWithPrefix('a')
      expect([lru.get('a'), lru.get('ab')]).toEqual([undefined, undefined])
    }),
  )
})
