// Who may use a disk that several initiators share (SPC-4, section 5.12): keys that initiators register, and the one reservation that
// a registrant may hold. Kept as long as the unit lives: a disk's power isn't lost here, so nothing is written down (no APTPL).

import { ScsiOpcode } from './opcodes.ts'

export const ReservationType = {
  WRITE_EXCLUSIVE: 1,
  EXCLUSIVE_ACCESS: 3,
  WRITE_EXCLUSIVE_REGISTRANTS_ONLY: 5,
  EXCLUSIVE_ACCESS_REGISTRANTS_ONLY: 6,
  WRITE_EXCLUSIVE_ALL_REGISTRANTS: 7,
  EXCLUSIVE_ACCESS_ALL_REGISTRANTS: 8,
} as const
export type ReservationType = (typeof ReservationType)[keyof typeof ReservationType]

/** Initiators that may be registered at once. */
export const REGISTRATIONS_MAX = 64

interface Reservation {
  readonly type: ReservationType
  /** The initiator that holds it; with a type of all registrants, the one that made it. */
  readonly holder: number
}

/** What an initiator hears of what another did. */
export type Notice = 'reservations-preempted' | 'reservations-released' | 'registrations-preempted'

export function isReservationType(value: number): value is ReservationType {
  return (Object.values(ReservationType) as number[]).includes(value)
}

/** The persistent reservations of one unit, by the initiators' numbers. */
export class PersistentReservations {
  readonly #tell: (initiator: number, notice: Notice) => void
  /** Keys by initiator, in the order of registration. Keys are 64 bits and never 0. */
  readonly #keys = new Map<number, bigint>()
  #reservation: Reservation | null = null
  #generation = 0

  /** `tell` is called for each initiator that must hear of a change which another made. */
  constructor(tell: (initiator: number, notice: Notice) => void) {
    this.#tell = tell
  }

  /** Counts changes of the registrations, as PERSISTENT RESERVE IN reports them. */
  get generation(): number {
    return this.#generation
  }

  get keys(): readonly bigint[] {
    return [...this.#keys.values()]
  }

  get reservation(): Reservation | null {
    return this.#reservation
  }

  /** 0: not registered. */
  keyOf(initiator: number): bigint {
    return this.#keys.get(initiator) ?? 0n
  }

  /** Every registrant holds the reservation. */
  get isOfAllRegistrants(): boolean {
    return this.#reservation !== null && isOfAll(this.#reservation.type)
  }

  /** The key that READ RESERVATION names: 0 when all registrants hold it. */
  get holderKey(): bigint {
    const reservation = this.#reservation
    if (reservation === null || isOfAll(reservation.type)) return 0n
    return this.keyOf(reservation.holder)
  }

  /** True when a reservation forbids a command of that opcode to an initiator. */
  refuses(opcode: number, initiator: number): boolean {
    const reservation = this.#reservation
    if (reservation === null || this.#holds(initiator)) return false
    const need = needOf(opcode)
    if (need === Need.NONE) return false
    const registered = this.#keys.has(initiator)
    if (registered && reservation.type >= ReservationType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY) {
      return false
    }
    return need === Need.WRITE || !isOfWrites(reservation.type)
  }

  /** Registers a key, or another in its place; 0 takes the registration away. False: there is room for no more. */
  register(initiator: number, key: bigint): boolean {
    if (key === 0n) {
      this.#unregister(initiator)
    } else {
      if (!this.#keys.has(initiator) && this.#keys.size === REGISTRATIONS_MAX) return false
      this.#keys.set(initiator, key)
    }
    this.#generation = (this.#generation + 1) >>> 0
    return true
  }

  /** False: another has it, or it is of another type. */
  reserve(initiator: number, type: ReservationType): boolean {
    if (this.#reservation === null) {
      this.#reservation = { type, holder: initiator }
      return true
    }
    return this.#holds(initiator) && this.#reservation.type === type
  }

  /** False: the initiator holds a reservation of another type. One that holds none releases nothing, which is well. */
  release(initiator: number, type: ReservationType): boolean {
    if (this.#reservation === null || !this.#holds(initiator)) return true
    if (this.#reservation.type !== type) return false
    this.#endReservation(initiator)
    return true
  }

  /** Forgets all registrations and the reservation. */
  clear(initiator: number): void {
    for (const other of this.#keys.keys()) {
      if (other !== initiator) this.#tell(other, 'reservations-preempted')
    }
    this.#keys.clear()
    this.#reservation = null
    this.#generation = (this.#generation + 1) >>> 0
  }

  /**
   * Takes away the registrations of a key, and the reservation if one of them held it, which is the initiator's then. The initiators
   * that lost their registration; null when nobody has that key.
   */
  preempt(initiator: number, key: bigint, type: ReservationType): readonly number[] | null {
    const reservation = this.#reservation
    const ofAll = reservation !== null && isOfAll(reservation.type)
    const takesOver =
      reservation !== null &&
      (ofAll ? key === 0n : this.keyOf(reservation.holder) === key && key !== 0n)
    const victims: number[] = []
    for (const [other, otherKey] of this.#keys) {
      if (otherKey === key || (ofAll && key === 0n)) victims.push(other)
    }
    if (victims.length === 0) return null
    const lost = victims.filter((other) => other !== initiator)
    for (const other of lost) {
      this.#keys.delete(other)
      this.#tell(other, 'registrations-preempted')
    }
    if (takesOver) {
      if (reservation.type !== type) this.#tellOthers(initiator, 'reservations-released')
      this.#reservation = { type, holder: initiator }
    }
    this.#generation = (this.#generation + 1) >>> 0
    return lost
  }

  #holds(initiator: number): boolean {
    const reservation = this.#reservation
    if (reservation === null) return false
    return isOfAll(reservation.type) ? this.#keys.has(initiator) : reservation.holder === initiator
  }

  #unregister(initiator: number): void {
    const reservation = this.#reservation
    const held = this.#holds(initiator)
    this.#keys.delete(initiator)
    if (reservation === null || !held) return
    // A reservation of all registrants lasts as long as one of them is left.
    if (!isOfAll(reservation.type) || this.#keys.size === 0) this.#endReservation(initiator)
  }

  #endReservation(initiator: number): void {
    const type = this.#reservation!.type
    this.#reservation = null
    if (type >= ReservationType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY) {
      this.#tellOthers(initiator, 'reservations-released')
    }
  }

  #tellOthers(initiator: number, notice: Notice): void {
    for (const other of this.#keys.keys()) if (other !== initiator) this.#tell(other, notice)
  }
}

function isOfAll(type: ReservationType): boolean {
  return type >= ReservationType.WRITE_EXCLUSIVE_ALL_REGISTRANTS
}

/** Others may read. */
function isOfWrites(type: ReservationType): boolean {
  return (
    type === ReservationType.WRITE_EXCLUSIVE ||
    type === ReservationType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY ||
    type === ReservationType.WRITE_EXCLUSIVE_ALL_REGISTRANTS
  )
}

const Need = { NONE: 0, READ: 1, WRITE: 2 } as const
type Need = (typeof Need)[keyof typeof Need]

/** What a reservation of another must leave open for a command (SPC-4, table 66; SBC-3, table 13). */
function needOf(opcode: number): Need {
  switch (opcode) {
    case ScsiOpcode.INQUIRY:
    case ScsiOpcode.TEST_UNIT_READY:
    case ScsiOpcode.READ_CAPACITY_10:
    case ScsiOpcode.SERVICE_ACTION_IN_16:
    case ScsiOpcode.PERSISTENT_RESERVE_IN:
    // Says for itself what conflicts.
    case ScsiOpcode.PERSISTENT_RESERVE_OUT:
      return Need.NONE
    case ScsiOpcode.READ_6:
    case ScsiOpcode.READ_10:
    case ScsiOpcode.READ_12:
    case ScsiOpcode.READ_16:
    case ScsiOpcode.VERIFY_10:
    case ScsiOpcode.VERIFY_12:
    case ScsiOpcode.VERIFY_16:
    case ScsiOpcode.MODE_SENSE_6:
    case ScsiOpcode.MODE_SENSE_10:
      return Need.READ
    default:
      return Need.WRITE
  }
}
