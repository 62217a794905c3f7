import { expect, it } from 'vitest'
import { RestartBudget } from '../../main/shell/budget'

it('a budget counts what lies within its window of time', () => {
  let time = 0
  const budget = new RestartBudget(() => time, 2, 100)
  expect([budget.spend(), budget.spend(), budget.spend()]).toEqual([true, true, false])
  time = 99
  expect(budget.spend()).toBe(false)
  time = 100
  expect(budget.spend()).toBe(true)
  budget.reset()
  expect(budget.spend()).toBe(true)
})
