// One turn of the event loop, for a thread that is busy and still wants its timers, ports and promises served.

/** Resolves after the events that are due now had their turn. */
export type YieldToEventLoop = () => Promise<void>

type Schedule = (callback: () => void) => void

/** `setImmediate` where there is one, else a message to oneself: unlike timers, neither is clamped to milliseconds. */
export function eventLoopTurn(): YieldToEventLoop {
  const schedule = immediate() ?? messageToSelf()
  return () => new Promise<void>((resolve) => schedule(resolve))
}

function immediate(): Schedule | undefined {
  const found: unknown = Reflect.get(globalThis, 'setImmediate')
  return typeof found === 'function'
    ? (callback) => void Reflect.apply(found, globalThis, [callback])
    : undefined
}

function messageToSelf(): Schedule {
  const channel = new MessageChannel()
  let pending: (() => void) | undefined
  channel.port1.addEventListener('message', () => {
    const callback = pending
    pending = undefined
    callback?.()
  })
  channel.port1.start()
  return (callback) => {
    pending = callback
    channel.port2.postMessage(0)
  }
}
