import { describe, expect, it } from 'vitest'
import { machineSwitches } from '../../main/launch/app.mjs'

describe('the switches', () => {
  it('turn the sandbox off for root only', () => {
    expect(machineSwitches({ DISPLAY: ':0' }, 0)).toEqual(['--no-sandbox'])
    expect(machineSwitches({ DISPLAY: ':0' }, 1000)).toEqual([])
  })
  it('choose Wayland where there is no X', () => {
    expect(machineSwitches({ WAYLAND_DISPLAY: 'wayland-0' }, 1000)).toEqual(['--ozone-platform-hint=auto'])
  })
})
