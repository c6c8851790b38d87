// A MessagePort as Comlink may use it. Comlink listens with `addEventListener`, for which Node makes a MessageEvent of every message;
// that class lives in Node's HTTP client, and loading it costs each thread three megabytes and some ten milliseconds.

import type { MessagePort } from 'node:worker_threads'

/** What `Comlink.wrap` and `Comlink.expose` take. */
export interface PortEndpoint {
  postMessage(message: unknown, transfer?: unknown): void
  addEventListener(type: string, listener: unknown): void
  removeEventListener(type: string, listener: unknown): void
  start(): void
}

type Listener = (event: { readonly data: unknown }) => void

/** `accepts`: messages for which it is false are as if they had not come. Any thread. */
export function portEndpoint(
  port: MessagePort,
  accepts: (message: unknown) => boolean = everything,
): PortEndpoint {
  const heard = new Map<unknown, (message: unknown) => void>()
  return {
    postMessage: (message, transfer) => {
      port.postMessage(message, transfer as Parameters<MessagePort['postMessage']>[1])
    },
    addEventListener: (_type, listener) => {
      if (heard.has(listener)) return
      const hear = (message: unknown): void => {
        if (accepts(message)) (listener as Listener)({ data: message })
      }
      heard.set(listener, hear)
      port.on('message', hear)
    },
    removeEventListener: (_type, listener) => {
      const hear = heard.get(listener)
      if (hear === undefined) return
      heard.delete(listener)
      port.off('message', hear)
    },
    start: () => port.start(),
  }
}

function everything(): boolean {
  return true
}
