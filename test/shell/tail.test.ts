import { expect, it } from 'vitest'
import { Tail } from '../../main/shell/tail'

it('a tail keeps the last whole lines', () => {
  const tail = new Tail(10)
  tail.add('one\n')
  expect(tail.text).toBe('one\n')
  tail.add('two\nthree\n')
  expect(tail.text).toBe('three\n')
  tail.clear()
  expect(tail.text).toBe('')
})
