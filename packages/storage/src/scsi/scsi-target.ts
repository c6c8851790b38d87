// HOT
// A SCSI target: logical units by path, target and LUN, and the commands that an initiator has under way with them. One for each
// controller of a machine; a unit may be attached to several, whose initiators then share it.
//
//   const target = new ScsiTarget({ initiator: partitionId })
//   target.attach(0, 0, 0, new DiskUnit(disk))
//   target.execute(request)             DONE at once, or PENDING
//   target.poll(budget)                 ends what its disk has ended

import { answerForNobody } from './absent-unit.ts'
import { isWellFormed, putU16, putU32, u32 } from './cdb.ts'
import type { LogicalUnit } from './logical-unit.ts'
import { Attention, Nexus } from './nexus.ts'
import { ScsiOpcode, ScsiStatus } from './opcodes.ts'
import { ScsiOutcome, type ScsiRequest } from './scsi-request.ts'
import { Sense, fail } from './sense.ts'
import { respond } from './transfer.ts'

/** LUNs of one target at most: an address has a byte for each part. */
const LUNS_MAX = 256
const REPORT_LUNS_ALLOCATION_MIN = 16
const WELL_KNOWN_ONLY = 1
const SELECT_REPORT_MAX = 2

export interface ScsiTargetOptions {
  /** Whose commands these are, for reservations: a number for each partition. 0 when left out. */
  readonly initiator?: number
}

export interface ScsiTargetInspection {
  readonly units: readonly {
    readonly path: number
    readonly target: number
    readonly lun: number
    readonly kind: 'disk' | 'dvd'
    readonly inFlight: number
  }[]
  /** Units that have been detached but still have commands under way. */
  readonly leaving: number
  readonly changes: number
}

interface Attachment {
  readonly path: number
  readonly target: number
  readonly lun: number
  readonly unit: LogicalUnit
  readonly nexus: Nexus
  /** Detached: it waits for its last command. */
  isLeaving: boolean
}

/** The thread is that of the disks. */
export class ScsiTarget {
  readonly #initiator: number
  readonly #byAddress = new Map<number, Attachment>()
  /** Those of `#byAddress`, and those that have been detached and wait for their last command. */
  readonly #polled: Attachment[] = []
  readonly #scratch: Uint8Array = new Uint8Array(8 + 8 * LUNS_MAX)
  /** Commands of units that have left since, for the next poll to count. */
  #endedElsewhere = 0
  #changes = 0
  #listener: () => void = () => undefined

  constructor(options: ScsiTargetOptions = {}) {
    this.#initiator = options.initiator ?? 0
  }

  /** How often LUNs have been added or removed. */
  get changes(): number {
    return this.#changes
  }

  /** Calls `listener`, which replaces an earlier one, after each change of the LUNs. */
  watch(listener: () => void): void {
    this.#listener = listener
  }

  /** Has whoever watches look again, though the LUNs are the same ones: a unit has another medium, or another size. */
  announce(): void {
    this.#listener()
  }

  /** The unit at an address; null: nobody is there. */
  unitAt(path: number, target: number, lun: number): LogicalUnit | null {
    return this.#byAddress.get(addressOf(path, target, lun))?.unit ?? null
  }

  /** Adds a unit. Throws a RangeError when a number isn't 0 to 255, or somebody is there. */
  attach(path: number, target: number, lun: number, unit: LogicalUnit): void {
    for (const number of [path, target, lun]) {
      if (!Number.isInteger(number) || number < 0 || number > 255) {
        throw new RangeError(`path, target and LUN are 0 to 255, got ${path}, ${target}, ${lun}`)
      }
    }
    const address = addressOf(path, target, lun)
    if (this.#byAddress.has(address)) {
      throw new RangeError(`path ${path}, target ${target} has a LUN ${lun} already`)
    }
    const nexus = new Nexus(this.#initiator)
    const attachment = { path, target, lun, unit, nexus, isLeaving: false }
    unit.join(nexus)
    this.#byAddress.set(address, attachment)
    this.#polled.push(attachment)
    this.#changed(attachment)
  }

  /**
   * Takes a unit away, and gives up what this initiator has under way with it: poll on until the unit's `inFlight` is 0 before its
   * disk is closed. The unit; null: nobody was there.
   */
  detach(path: number, target: number, lun: number): LogicalUnit | null {
    const address = addressOf(path, target, lun)
    const attachment = this.#byAddress.get(address)
    if (attachment === undefined) return null
    this.#byAddress.delete(address)
    attachment.isLeaving = true
    attachment.unit.abortNexus(attachment.nexus)
    // Nobody may have a reason to poll any more.
    if (attachment.nexus.inFlight === 0) this.#leave(attachment)
    this.#changed(attachment)
    return attachment.unit
  }

  /** Starts a command whose fields are set. It has ended when this returns, or is PENDING. Never throws for what is in it. */
  execute(request: ScsiRequest): void {
    request.scsiStatus = ScsiStatus.GOOD
    request.senseLength = 0
    request.transferredBytes = 0
    request.askedBytes = 0
    request.filledBytes = 0
    if (request.cdb[0] === ScsiOpcode.REPORT_LUNS) return this.#reportLuns(request)
    const attachment = this.#byAddress.get(addressOf(request.path, request.target, request.lun))
    if (attachment !== undefined) return attachment.unit.execute(request, attachment.nexus)
    answerForNobody(request, this.#scratch)
  }

  /**
   * Goes on with what is under way, at most about `budget` commands, which the units that have some share. How many have ended since
   * the last poll, whoever ended them.
   */
  poll(budget: number): number {
    let busy = 0
    for (const { unit } of this.#polled) if (unit.inFlight > 0) busy += 1
    const share = busy <= 1 ? budget : Math.ceil(budget / busy)
    let ended = this.#endedElsewhere
    this.#endedElsewhere = 0
    for (let index = this.#polled.length - 1; index >= 0; index--) {
      const attachment = this.#polled[index]!
      const { unit, nexus } = attachment
      unit.poll(share)
      ended += nexus.ended
      nexus.ended = 0
      if (attachment.isLeaving && nexus.inFlight === 0) this.#leave(attachment)
    }
    return ended
  }

  /** When `poll` is due though nobody wakes it, in the time of the disks' clock; Infinity: never. */
  nextDeadlineMs(): number {
    let least = Infinity
    for (const { unit } of this.#polled) least = Math.min(least, unit.nextDeadlineMs())
    return least
  }

  /** Gives up a command: it has ended when this returns, or ends in a later poll. Nothing happens to one that has ended. */
  abort(request: ScsiRequest): void {
    if (request.outcome !== ScsiOutcome.PENDING) return
    for (const { unit, nexus } of this.#polled) {
      if (nexus === request.nexus) unit.abort(request)
    }
  }

  /** Gives up everything that a unit has under way, every initiator's, and tells them. Nothing happens where nobody is. */
  resetUnit(path: number, target: number, lun: number): void {
    this.unitAt(path, target, lun)?.reset(Attention.DEVICE_RESET)
  }

  /** The same for every unit. */
  resetAll(): void {
    for (const { unit } of this.#byAddress.values()) unit.reset(Attention.BUS_RESET)
  }

  inspect(): ScsiTargetInspection {
    return {
      units: [...this.#byAddress.values()].map(({ path, target, lun, unit, nexus }) => ({
        path,
        target,
        lun,
        kind: unit.kind,
        inFlight: nexus.inFlight,
      })),
      leaving: this.#polled.length - this.#byAddress.size,
      changes: this.#changes,
    }
  }

  #leave({ unit, nexus }: Attachment): void {
    unit.leave(nexus)
    this.#endedElsewhere += nexus.ended
    this.#polled.splice(
      this.#polled.findIndex((one) => one.nexus === nexus),
      1,
    )
  }

  /** The other LUNs of that target tell that there are others now. */
  #changed(changed: Attachment): void {
    this.#changes += 1
    for (const other of this.#byAddress.values()) {
      const isSibling = other.path === changed.path && other.target === changed.target
      if (isSibling && other !== changed) other.nexus.raise(Attention.LUNS_CHANGED)
    }
    this.#listener()
  }

  /** Whoever is asked, present or not: the LUNs of exactly that path and target (SPC-4, section 6.33). */
  #reportLuns(request: ScsiRequest): void {
    const { cdb } = request
    const allocationBytes = u32(cdb, 6)
    const isGood = isWellFormed(cdb, request.cdbLength) && cdb[2]! <= SELECT_REPORT_MAX
    if (!isGood || allocationBytes < REPORT_LUNS_ALLOCATION_MIN) {
      return fail(request, Sense.INVALID_FIELD_IN_CDB)
    }
    const bytes = this.#scratch
    bytes.fill(0)
    let end = 8
    for (let lun = 0; lun < LUNS_MAX && cdb[2] !== WELL_KNOWN_ONLY; lun++) {
      const attachment = this.#byAddress.get(addressOf(request.path, request.target, lun))
      if (attachment === undefined) continue
      attachment.nexus.attentions &= ~Attention.LUNS_CHANGED
      putU16(bytes, end, lun)
      end += 8
    }
    putU32(bytes, 0, end - 8)
    respond(request, bytes, end, allocationBytes)
  }
}

function addressOf(path: number, target: number, lun: number): number {
  return (path << 16) | (target << 8) | lun
}
