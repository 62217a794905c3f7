/** The two kinds of port that carry the contract, under one interface: Electron's in the app, Node's in tests. */
import type { MessagePort as NodePort } from 'node:worker_threads'
import type { EnginePort } from './dispatch'

/** The part of Electron's MessagePortMain that is used here (this room does not load Electron). */
export interface ElectronPort {
  postMessage(message: unknown): void
  on(event: 'message', listener: (event: { data: unknown }) => void): unknown
  on(event: 'close', listener: () => void): unknown
  start(): void
}

export const electronPort = (port: ElectronPort): EnginePort => ({
  postMessage: (message) => port.postMessage(message),
  onMessage: (listener) => {
    port.on('message', (event) => listener(event.data))
    port.start()
  },
  onClose: (listener) => {
    port.on('close', listener)
  },
})

export const nodePort = (port: NodePort): EnginePort => ({
  postMessage: (message) => port.postMessage(message),
  onMessage: (listener) => {
    port.on('message', listener)
  },
  onClose: (listener) => {
    port.on('close', listener)
  },
})
