/**
 * What a channel needs from the event loop of its thread, in Node and in browsers alike: staying alive while
 * somebody waits, and giving way to timers and I/O now and then.
 */

const NEVER_MS = 2 ** 30

interface HeldTimer {
  ref(): unknown
  unref(): unknown
}

let timer: HeldTimer | undefined
let holders = 0

/**
 * Keeps this thread's event loop alive until `releaseEventLoop`. A pending `Atomics.waitAsync` alone does not:
 * Node would leave a worker that only waits for messages. Browsers keep their pages and workers anyway.
 */
export function holdEventLoop(): void {
  holders++
  if (holders > 1) return
  if (timer === undefined) {
    const made: unknown = setInterval(doNothing, NEVER_MS)
    if (typeof made !== 'object' || made === null || !('unref' in made)) {
      clearInterval(made as Parameters<typeof clearInterval>[0])
      return
    }
    timer = made as HeldTimer
  } else timer.ref()
}

export function releaseEventLoop(): void {
  holders--
  if (holders === 0) timer?.unref()
}

function doNothing(): void {}

let port: MessagePort | undefined
const due: (() => void)[] = []

/** Calls `callback` when this turn of the event loop, with all its promises, is over. */
export function afterThisTurn(callback: () => void): void {
  if (typeof globalThis.setImmediate === 'function') {
    globalThis.setImmediate(callback)
    return
  }
  due.push(callback)
  port ??= makeTurnPort()
  port.postMessage(undefined)
}

/** Resolves after timers and I/O had their turn. */
export function yieldToEventLoop(): Promise<void> {
  return new Promise(afterThisTurn)
}

// A message to oneself is the soonest turn a browser offers; its timers wait four milliseconds.
function makeTurnPort(): MessagePort {
  const { port1, port2 } = new MessageChannel()
  port2.onmessage = (): void => due.shift()?.()
  return port1
}
