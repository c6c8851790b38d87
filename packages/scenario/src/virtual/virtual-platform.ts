// The virtual engine's footing on a Node thread: when promises are pending, and when the real world has been asked for something.

import { createHook } from 'node:async_hooks'
import type { AsyncHook } from 'node:async_hooks'
import process from 'node:process'

import type { VirtualPlatform } from '@guestyard/engine/virtual'

/** What is asked of the system or the thread pool and answered once: files, names, cryptography. A connection is neither. */
const REQUEST = /^(?:FSREQ|FILEHANDLECLOSEREQ|GETADDRINFOREQ|GETNAMEINFOREQ|QUERYWRAP)|REQUEST$/
const NO_REQUEST = 'HTTPCLIENTREQUEST'
/** What Node lists as active and does not tell its hooks the end of. */
const ACTIVE_REQUEST = /Req|ConnectWrap|WriteWrap|ShutdownWrap/

/** One for a thread; dispose of it when the run is over. */
export class NodeVirtualPlatform implements VirtualPlatform {
  /** The real one: the globals may be virtual by the time it is called. */
  readonly #setImmediate: typeof setImmediate = setImmediate
  readonly #hook: AsyncHook
  readonly #requests: Set<number> = new Set()
  #pending = true
  readonly #onLoop: (() => void) | null

  /** `onLoop`: a turn of the event loop, which is a sign of life though virtual time may stand. */
  constructor(onLoop: (() => void) | null) {
    this.#onLoop = onLoop
    // A promise that is made or settled may have somebody who waits; what has not is a turn of the loop too many, no more.
    this.#hook = createHook({
      init: (id, type) => {
        this.#pending = true
        if (type !== 'PROMISE' && REQUEST.test(type) && type !== NO_REQUEST) this.#requests.add(id)
      },
      after: (id) => void this.#requests.delete(id),
      promiseResolve: () => {
        this.#pending = true
      },
    })
    this.#hook.enable()
  }

  takePending(): boolean {
    const pending = this.#pending
    this.#pending = false
    return pending
  }

  turn(callback: () => void): void {
    this.#onLoop?.()
    this.#setImmediate(callback)
  }

  isWaiting(): boolean {
    return (
      this.#requests.size > 0 ||
      process.getActiveResourcesInfo().some((name) => ACTIVE_REQUEST.test(name))
    )
  }

  dispose(): void {
    this.#hook.disable()
  }
}
