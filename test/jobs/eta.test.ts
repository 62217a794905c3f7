import { describe, expect, it } from 'vitest'
import { Eta } from '../../main/jobs/eta'
import { durationText } from '../../preload/duration'

describe('the time that is left', () => {
  it('is unknown before anything was done', () => {
    const eta = new Eta(() => 0)
    expect(eta.update(0, 10)).toBeNull()
  })

  it('is what remains at the pace so far', () => {
    let now = 0
    const eta = new Eta(() => now)
    eta.update(0, 100)
    for (let i = 1; i <= 10; i++) {
      now = i * 500
      eta.update(i, 100)
    }
    expect(eta.update(10, 100)).toBeCloseTo(45, 9)
  })

  it('follows a change of pace within a minute without jumping', () => {
    let now = 0
    const eta = new Eta(() => now)
    eta.update(0, 1000)
    for (let i = 1; i <= 100; i++) eta.update(i, ((now += 1000), 1000))
    const slow = eta.update(101, ((now += 5000), 1000)) ?? 0
    expect(slow).toBeGreaterThan(899)
    expect(slow).toBeLessThan(899 * 1.3)
    let left = 0
    for (let i = 102; i <= 140; i++) left = eta.update(i, ((now += 5000), 1000)) ?? 0
    expect(left / 860).toBeGreaterThan(4.5)
  })

  it('starts over where work was taken back', () => {
    let now = 0
    const eta = new Eta(() => now)
    eta.update(50, 100)
    eta.update(60, ((now = 1000), 100))
    expect(eta.update(20, 100)).toBeNull()
  })

  it('is said in the units a person would use', () => {
    expect([8.4, 200, 7500].map(durationText)).toEqual(['8 s', '3 min 20 s', '2 h 05 min'])
  })
})
