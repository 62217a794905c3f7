/** The two things outside of the window that it talks to: the engine and the shell. Set once at the start; tests set fakes. */
import type { ShellBridge } from '../preload/shell'
import type { Caller } from './client'

export interface Services {
  engine: Caller
  shell: ShellBridge
}

let current: Services | null = null

export function setServices(services: Services): void {
  current = services
}

/** @throws Error before `setServices`; that is a defect, not a state a person can meet */
export function services(): Services {
  if (current === null) throw new Error('services() was used before setServices()')
  return current
}
