/** The engine process as the window knows it: its state, what it says about itself, and how often it was started. */
import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'
import type { EngineStatus } from '../../preload/api'
import type { EngineState } from '../../preload/shell'
import { services } from '../services'

export const useEngine = defineStore('engine', () => {
  const state = shallowRef<EngineState>({ status: 'starting', generation: 0, reason: null, stderr: null })
  const status = shallowRef<EngineStatus | null>(null)
  const connected = ref(false)
  /** Counts connections; what was lost with the last engine is asked for again when this grows. */
  const connection = ref(0)

  /** Calls can be made: the process says so and its port is here. */
  const ready = computed(() => connected.value && state.value.status === 'ready')

  function setState(next: EngineState): void {
    state.value = next
  }
  function setConnected(value: boolean): void {
    connected.value = value
    if (value) connection.value++
  }
  function setStatus(next: EngineStatus): void {
    status.value = next
  }
  async function refreshStatus(): Promise<void> {
    setStatus(await services().engine.call('engine.status', {}))
  }
  /** Starts a stopped engine; its state arrives as events. */
  async function restart(): Promise<void> {
    await services().shell.restartEngine()
  }

  return {
    state,
    status,
    connected,
    connection,
    ready,
    setState,
    setConnected,
    setStatus,
    refreshStatus,
    restart,
  }
})
