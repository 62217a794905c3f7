/** What carries messages between the window and an engine: a MessagePort here, a socket or a fake elsewhere. */

export interface Transport {
  /** Sends one message; what it holds must survive structured cloning. */
  post(message: unknown): void
  /** `message` gets everything that arrives, unchecked; `closed` is called once when nothing more can arrive. */
  listen(handlers: { message: (value: unknown) => void; closed: () => void }): void
  close(): void
}

/**
 * A transport over a MessagePort that the shell handed over. Chromium fires `close` when the other end is gone.
 * @param onClosed told beside the listener, when the other end went away by itself
 */
export function portTransport(port: MessagePort, onClosed?: () => void): Transport {
  return {
    post: (message) => port.postMessage(message),
    listen({ message, closed }) {
      port.addEventListener('message', (event) => message(event.data))
      port.addEventListener('messageerror', () => message(undefined))
      port.addEventListener(
        'close',
        () => {
          closed()
          onClosed?.()
        },
        { once: true },
      )
      port.start()
    },
    close: () => port.close(),
  }
}
