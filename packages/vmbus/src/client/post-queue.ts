// Messages on their way to the host, in order. A host that is short of buffers is asked again with doubling
// delay, a hundred times, as Linux does; the time is handed in.

import { HvStatus } from '@guestyard/hvdef'
import type { ClientTransport } from './transport.ts'

const FIRST_DELAY_MS = 1
const LONGEST_DELAY_MS = 256
/** Attempts after which a message is given up: about 24 seconds. */
const ATTEMPTS_MAX = 100

export interface Post {
  readonly connectionId: number
  readonly payload: Uint8Array
  /** The status at which the message was given up. */
  readonly failed: (status: number) => void
  /** INITIATE_CONTACT: a connection that is not there will not come. */
  readonly isContact: boolean
}

export class PostQueue {
  readonly #transport: ClientTransport
  readonly #now: (() => number) | undefined
  #posts: Post[] = []
  #attempts = 0
  #delayMs = FIRST_DELAY_MS
  #notBeforeMs = 0

  /** Without `now` a message is tried at each flush, and never given up for want of buffers. */
  constructor(transport: ClientTransport, now: (() => number) | undefined) {
    this.#transport = transport
    this.#now = now
  }

  get length(): number {
    return this.#posts.length
  }

  /** When the next attempt is due, in the milliseconds of `now`; Infinity when nothing waits. */
  get nextAttemptMs(): number {
    return this.#posts.length === 0 ? Number.POSITIVE_INFINITY : this.#notBeforeMs
  }

  /** A message waits, and may be tried now. */
  get isDue(): boolean {
    return this.#posts.length > 0 && this.#mayTryNow()
  }

  push(post: Post): void {
    this.#posts.push(post)
  }

  clear(): void {
    this.#posts = []
    this.#startOver()
  }

  /** Posts what can be posted now; returns how many messages left the queue. */
  flush(): number {
    let left = 0
    while (this.isDue) {
      const post = this.#posts[0]
      if (post === undefined) break
      const { connectionId, payload } = post
      const status = this.#transport.postMessage(connectionId, payload, payload.length)
      if (isTemporary(status, post) && this.#mayTryAgain()) break
      this.#posts.shift()
      this.#startOver()
      left += 1
      if (status !== HvStatus.SUCCESS) post.failed(status)
    }
    return left
  }

  #mayTryNow(): boolean {
    return this.#now === undefined || this.#now() >= this.#notBeforeMs
  }

  #mayTryAgain(): boolean {
    if (this.#now === undefined) return true
    this.#attempts += 1
    if (this.#attempts >= ATTEMPTS_MAX) return false
    this.#notBeforeMs = this.#now() + this.#delayMs
    this.#delayMs = Math.min(this.#delayMs * 2, LONGEST_DELAY_MS)
    return true
  }

  #startOver(): void {
    this.#attempts = 0
    this.#delayMs = FIRST_DELAY_MS
    this.#notBeforeMs = 0
  }
}

function isTemporary(status: number, post: Post): boolean {
  if (status === HvStatus.INSUFFICIENT_BUFFERS) return true
  if (status === HvStatus.INSUFFICIENT_MEMORY) return true
  return status === HvStatus.INVALID_CONNECTION_ID && !post.isContact
}
