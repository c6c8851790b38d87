// The guest's way to devices that are not on the bus: IN and OUT, loads and stores of device memory. Such an access leaves the guest
// as an intercept, and its VP runs no guest code until whoever emulates the device has answered. One access at a time, in order; the
// VP's thread only.

import type { AccessSize, InterceptOutcome, InterceptUnit } from '@guestyard/hypervisor/vp'

/** Result of an access: low and high half, of as many bytes as it had. */
export interface DeviceValue {
  readonly low: number
  readonly high: number
}

/** Told of an access that has ended, from `poll`: what was read, or null when it raised an exception. */
export type AccessEnded = (value: DeviceValue | null) => void

interface Access {
  readonly begin: (unit: InterceptUnit) => InterceptOutcome
  readonly ended: AccessEnded
}

/** Accesses that a program may have asked for and not got yet. */
const ACCESSES_MAX = 1024

export class DeviceAccess {
  readonly #unit: InterceptUnit
  readonly #wake: () => void
  readonly #queue: Access[] = []
  #current: Access | null = null

  /** `wake`: there is an access for `poll` to begin. */
  constructor(unit: InterceptUnit, wake: () => void) {
    this.#unit = unit
    this.#wake = wake
  }

  /** True while the VP waits for an answer: it runs no guest code. */
  get isWaiting(): boolean {
    return this.#current !== null
  }

  /** True when `poll` has something to do. */
  get hasWork(): boolean {
    return this.#current === null ? this.#queue.length > 0 : this.#unit.state === 'answered'
  }

  /** For drivers: one access, however many wait. `ended` is called once, from a later `poll`. */
  begin(begin: Access['begin'], ended: AccessEnded): void {
    this.#queue.push({ begin, ended })
    this.#wake()
  }

  portIn(port: number, size: 1 | 2 | 4): Promise<DeviceValue> {
    return this.#add((unit) => unit.beginPortIn(port, size))
  }

  portOut(port: number, size: 1 | 2 | 4, value: number): Promise<DeviceValue> {
    return this.#add((unit) => unit.beginPortOut(port, size, value))
  }

  memoryRead(gpa: number, size: AccessSize): Promise<DeviceValue> {
    return this.#add((unit) => unit.beginMemoryRead(gpa, size))
  }

  memoryWrite(gpa: number, size: AccessSize, low: number, high: number): Promise<DeviceValue> {
    return this.#add((unit) => unit.beginMemoryWrite(gpa, size, low, high))
  }

  /** Takes an answer, begins what is asked for next. Accesses that ended. */
  poll(): number {
    let ended = 0
    if (this.#current !== null) {
      if (this.#unit.state !== 'answered') return 0
      const { ended: tell } = this.#current
      this.#current = null
      this.#end(tell, this.#unit.finish())
      ended += 1
    }
    while (this.#current === null && this.#queue.length > 0) {
      const access = this.#queue.shift()!
      const outcome = access.begin(this.#unit)
      if (outcome === 'suspended') this.#current = access
      else {
        this.#end(access.ended, outcome)
        ended += 1
      }
    }
    return ended
  }

  #add(begin: Access['begin']): Promise<DeviceValue> {
    if (this.#queue.length >= ACCESSES_MAX) {
      return Promise.reject(new Error(`${ACCESSES_MAX} accesses are waiting already`))
    }
    const done = Promise.withResolvers<DeviceValue>()
    this.begin(begin, (value) => {
      if (value !== null) done.resolve(value)
      else done.reject(new Error(`the access raised exception ${this.#unit.exception}`))
    })
    return done.promise
  }

  #end(ended: AccessEnded, outcome: InterceptOutcome): void {
    const { value } = this.#unit
    ended(outcome === 'fault' ? null : { low: value.low, high: value.high })
  }
}
