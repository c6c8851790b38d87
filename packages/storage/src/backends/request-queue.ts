import type { DiskRequest, DiskStatus } from './disk.ts'

/** Requests in the order they came, linked by their own `next`: nothing is allocated. */
export class RequestQueue {
  head: DiskRequest | null = null
  #tail: DiskRequest | null = null

  push(request: DiskRequest): void {
    request.next = null
    if (this.#tail === null) this.head = request
    else this.#tail.next = request
    this.#tail = request
  }

  /** Takes the first one out. */
  shift(): DiskRequest | null {
    const first = this.head
    if (first === null) return null
    this.head = first.next
    if (this.head === null) this.#tail = null
    first.next = null
    return first
  }

  /** Takes this one out, wherever it is. False: it is not here. */
  remove(request: DiskRequest): boolean {
    let before: DiskRequest | null = null
    for (let at = this.head; at !== null; before = at, at = at.next) {
      if (at !== request) continue
      if (before === null) this.head = at.next
      else before.next = at.next
      if (this.#tail === at) this.#tail = before
      at.next = null
      return true
    }
    return false
  }

  /** Puts another queue's requests behind these; the other is empty then. */
  takeAll(other: RequestQueue): void {
    if (other.head === null) return
    if (this.#tail === null) this.head = other.head
    else this.#tail.next = other.head
    this.#tail = other.#tail
    other.head = null
    other.#tail = null
  }

  /** Ends all of them. How many there were. */
  endAll(status: DiskStatus): number {
    let ended = 0
    for (let request = this.shift(); request !== null; request = this.shift()) {
      request.status = status
      ended += 1
    }
    return ended
  }
}
