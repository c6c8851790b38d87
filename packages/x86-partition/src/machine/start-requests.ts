// INIT and start-up interrupts that a guest sends to processors that are not there. Nothing answers them, and a kernel that waits for an answer
// waits for ever: so whoever looks at its log is told, once for each APIC id.

import type { MachineLog } from './machine-log.ts'

/** Interrupt command register, lower half (Intel SDM volume 3, "Interrupt Command Register"). */
const DELIVERY_SHIFT = 8
const DELIVERY_INIT = 5
const DELIVERY_START = 6
const LOGICAL = 1 << 11
const ASSERTED = 1 << 14
const BY_LEVEL = 1 << 15
const SHORTHAND_SHIFT = 18
const TO_DESTINATION = 0
const TO_OTHERS = 3
const TO_ALL = 2
/** Of an xAPIC, and of an x2APIC. */
const BROADCASTS: ReadonlySet<number> = new Set([0xff, 0xffff_ffff])
const OWN_APIC_ID = 0
const OWN_LOGICAL_ID = 1
/** A guest can name 2^32 of them. */
const IDS_MAX = 64

type Target = number | 'others' | 'nobody'

/** VP's thread only. */
export class StartRequests {
  readonly #log: MachineLog | null
  readonly #told: Set<Target> = new Set(['nobody', OWN_APIC_ID])

  constructor(log: MachineLog | null) {
    this.#log = log
  }

  /** The guest wrote the lower half of its ICR, and `destination` is what the upper one names. */
  command(low: number, destination: number): void {
    const delivery = (low >>> DELIVERY_SHIFT) & 7
    if (delivery !== DELIVERY_INIT && delivery !== DELIVERY_START) return
    const target = targetOf(low, destination)
    if (this.#told.has(target) || this.#told.size >= IDS_MAX + 2) return
    this.#told.add(target)
    const asked = delivery === DELIVERY_INIT ? 'INIT' : 'SIPI'
    if (target === 'others') {
      this.#log?.warn(
        { asked, vpCount: 1 },
        'asked to start all other processors: this machine has one VP',
      )
    } else {
      this.#log?.warn(
        { asked, apicId: target, vpCount: 1 },
        `asked to start APIC id ${target}: this machine has one VP`,
      )
    }
  }
}

function targetOf(low: number, destination: number): Target {
  // The end of an INIT starts nobody.
  const isEnd = (low & BY_LEVEL) !== 0 && (low & ASSERTED) === 0
  if (isEnd) return 'nobody'
  const shorthand = (low >>> SHORTHAND_SHIFT) & 3
  if (shorthand === TO_OTHERS || shorthand === TO_ALL) return 'others'
  if (shorthand !== TO_DESTINATION) return 'nobody'
  // A logical destination is a set of processors, and names none by its id.
  if ((low & LOGICAL) !== 0) return (destination & ~OWN_LOGICAL_ID) === 0 ? 'nobody' : 'others'
  return BROADCASTS.has(destination) ? 'others' : destination
}
