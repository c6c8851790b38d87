// HOT
// A binary heap of VPs with the smallest key on top. A VP knows its place, so that it can leave from anywhere.

import { assert } from '@guestyard/hvdef'

import type { ScheduledVp } from './scheduled-vp.ts'

export class VpHeap {
  readonly #id: number
  readonly #vps: ScheduledVp[] = []
  readonly #keys: number[] = []

  /** `id`: not 0, another for each heap that a VP may be in. */
  constructor(id: number) {
    this.#id = id
  }

  has(vp: ScheduledVp): boolean {
    return vp.heap === this.#id
  }

  top(): ScheduledVp | null {
    return this.#vps.length === 0 ? null : this.#vps[0]!
  }

  /** Of the top; Infinity when there is none. */
  topKey(): number {
    return this.#keys.length === 0 ? Number.POSITIVE_INFINITY : this.#keys[0]!
  }

  push(vp: ScheduledVp, key: number): void {
    assert(vp.heap === 0, 'A VP waits in one heap.')
    vp.heap = this.#id
    this.#vps.push(vp)
    this.#keys.push(key)
    this.#rise(this.#vps.length - 1, vp, key)
  }

  pop(): ScheduledVp {
    const vp = this.#vps[0]!
    this.remove(vp)
    return vp
  }

  remove(vp: ScheduledVp): void {
    assert(vp.heap === this.#id, 'Only who is in a heap can leave it.')
    const at = vp.heapIndex
    vp.heap = 0
    vp.heapIndex = -1
    const last = this.#vps.pop()!
    const key = this.#keys.pop()!
    if (last !== vp) this.#settle(at, last, key)
  }

  rekey(vp: ScheduledVp, key: number): void {
    assert(vp.heap === this.#id, 'Only who is in a heap has a key there.')
    this.#settle(vp.heapIndex, vp, key)
  }

  /** In no order that means anything. For looks over all of them. */
  at(index: number): ScheduledVp {
    return this.#vps[index]!
  }

  #settle(at: number, vp: ScheduledVp, key: number): void {
    const parent = (at - 1) >> 1
    if (at > 0 && this.#keys[parent]! > key) this.#rise(at, vp, key)
    else this.#sink(at, vp, key)
  }

  #rise(from: number, vp: ScheduledVp, key: number): void {
    const vps = this.#vps
    const keys = this.#keys
    let at = from
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (keys[parent]! <= key) break
      this.#place(at, vps[parent]!, keys[parent]!)
      at = parent
    }
    this.#place(at, vp, key)
  }

  #sink(from: number, vp: ScheduledVp, key: number): void {
    const vps = this.#vps
    const keys = this.#keys
    const size = vps.length
    let at = from
    for (;;) {
      let child = at * 2 + 1
      if (child >= size) break
      if (child + 1 < size && keys[child + 1]! < keys[child]!) child += 1
      if (keys[child]! >= key) break
      this.#place(at, vps[child]!, keys[child]!)
      at = child
    }
    this.#place(at, vp, key)
  }

  #place(at: number, vp: ScheduledVp, key: number): void {
    this.#vps[at] = vp
    this.#keys[at] = key
    vp.heapIndex = at
  }
}
