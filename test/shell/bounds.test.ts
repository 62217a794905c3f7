import { describe, expect, it } from 'vitest'
import { visibleBounds } from '../../main/shell/bounds'

describe('remembered bounds', () => {
  const screen = { x: 0, y: 0, width: 1920, height: 1080 }
  it('are used where the title bar can be reached', () => {
    const bounds = { x: 100, y: 100, width: 800, height: 600 }
    expect(visibleBounds(bounds, [screen])).toEqual(bounds)
    expect(visibleBounds({ ...bounds, x: 2000 }, [screen, { ...screen, x: 1920 }])).toBeDefined()
  })
  it.each([
    { x: 2000, y: 100 },
    { x: -750, y: 100 },
    { x: 100, y: 1070 },
    { x: 100, y: -300 },
  ])('are forgotten where it can not: %j', (at) => {
    expect(visibleBounds({ ...at, width: 800, height: 600 }, [screen])).toBeUndefined()
  })
})
