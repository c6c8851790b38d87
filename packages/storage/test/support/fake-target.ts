// A target for tests of the bus end: a few units of bytes, answers when the test says so.

import { DataDirection, ScsiOutcome } from '@guestyard/storage/scsi'
import type { ScsiRequest } from '@guestyard/storage/scsi'
import type { StorTarget } from '@guestyard/storage/vsp'

export const BLOCK = 512

export class FakeTarget implements StorTarget {
  /** Bytes of the units, by LUN; all at path 0 and target 0. */
  readonly units: Map<number, Uint8Array> = new Map([[0, new Uint8Array(64 * 1024)]])
  /** Requests stay PENDING until `release`. */
  holds = false
  /** `abort` leaves a request PENDING until `release`. */
  clings = false
  deadlineMs = Number.POSITIVE_INFINITY
  readonly held: ScsiRequest[] = []
  executed = 0
  aborted = 0
  resets: string[] = []
  /** Ends a request with this sense key and code instead. */
  sense: readonly [key: number, asc: number, ascq: number] | null = null
  /** Times that `sense` is given. */
  senseTimes = 1
  /** Sees each request before it is done. */
  onExecute: ((request: ScsiRequest) => void) | null = null
  #ended = 0
  #listener: (() => void) | null = null

  watch(listener: () => void): void {
    this.#listener = listener
  }

  /** Units came or went. */
  changed(): void {
    this.#listener?.()
  }

  execute(request: ScsiRequest): void {
    this.executed += 1
    this.onExecute?.(request)
    if (this.holds) {
      request.outcome = ScsiOutcome.PENDING
      this.held.push(request)
    } else {
      this.#do(request)
    }
  }

  poll(): number {
    const ended = this.#ended
    this.#ended = 0
    return ended
  }

  nextDeadlineMs(): number {
    return this.deadlineMs
  }

  abort(request: ScsiRequest): void {
    this.aborted += 1
    if (this.clings) return
    this.#end(request, ScsiOutcome.ABORTED)
  }

  resetUnit(path: number, target: number, lun: number): void {
    this.resets.push(`${path}:${target}:${lun}`)
    this.#abortAll((request) => request.lun === lun)
  }

  resetAll(): void {
    this.resets.push('all')
    this.#abortAll(() => true)
  }

  /** Does the oldest held requests, in this order or from the newest on. */
  release(count = this.held.length, newestFirst = false): void {
    for (let left = count; left > 0; left -= 1) {
      const request = newestFirst ? this.held.at(-1) : this.held[0]
      if (request === undefined) return
      this.#remove(request)
      this.#do(request)
      this.#ended += 1
    }
  }

  #abortAll(which: (request: ScsiRequest) => boolean): void {
    for (const request of this.held.filter((one) => which(one))) {
      this.#end(request, ScsiOutcome.ABORTED)
    }
  }

  #end(request: ScsiRequest, outcome: ScsiOutcome): void {
    this.#remove(request)
    request.outcome = outcome
    this.#ended += 1
  }

  #remove(request: ScsiRequest): void {
    const at = this.held.indexOf(request)
    if (at < 0) throw new Error('a request that is not held')
    this.held.splice(at, 1)
  }

  #do(request: ScsiRequest): void {
    request.outcome = ScsiOutcome.DONE
    request.scsiStatus = 0
    if (this.sense !== null && this.senseTimes > 0) {
      this.senseTimes -= 1
      this.#check(request, ...this.sense)
      return
    }
    const unit =
      request.path === 0 && request.target === 0 ? this.units.get(request.lun) : undefined
    switch (request.cdb[0] ?? 0) {
      case 0x00:
      case 0x35:
        if (unit === undefined) request.outcome = ScsiOutcome.NO_LOGICAL_UNIT
        return
      case 0x12:
        return this.#inquiry(request, unit !== undefined)
      case 0xa0:
        return this.#reportLuns(request)
      case 0x28:
      case 0x2a:
        if (unit === undefined) request.outcome = ScsiOutcome.NO_LOGICAL_UNIT
        else this.#transfer(request, unit)
        return
      case 0x9e:
        if (unit !== undefined) this.#capacity(request, unit)
        return
      default:
        return this.#check(request, 5, 0x20, 0)
    }
  }

  #check(request: ScsiRequest, key: number, asc: number, ascq: number): void {
    request.scsiStatus = 2
    request.sense.fill(0)
    request.sense.set([0x70, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, asc, ascq])
    request.senseLength = 18
  }

  #inquiry(request: ScsiRequest, isThere: boolean): void {
    if (request.cdb[1] !== 0) return this.#check(request, 5, 0x24, 0)
    const data = new Uint8Array(36)
    data[0] = isThere ? 0 : 0x7f
    data.set(new TextEncoder().encode('Msft    Fake Disk       1.0 '), 8)
    give(request, data)
  }

  #reportLuns(request: ScsiRequest): void {
    const luns = request.path === 0 && request.target === 0 ? [...this.units.keys()] : []
    const data = new Uint8Array(8 + luns.length * 8)
    const view = new DataView(data.buffer)
    view.setUint32(0, luns.length * 8)
    for (const [index, lun] of luns.entries()) view.setUint16(8 + index * 8, lun)
    give(request, data)
  }

  #capacity(request: ScsiRequest, unit: Uint8Array): void {
    const data = new Uint8Array(32)
    const view = new DataView(data.buffer)
    view.setUint32(4, unit.length / BLOCK - 1)
    view.setUint32(8, BLOCK)
    data[13] = 3
    data[14] = 0x40
    give(request, data)
  }

  #transfer(request: ScsiRequest, unit: Uint8Array): void {
    const view = new DataView(request.cdb.buffer, request.cdb.byteOffset)
    const isRead = request.cdb[0] === 0x28
    let at = view.getUint32(2) * BLOCK
    const bytes = view.getUint16(7) * BLOCK
    const wanted = isRead ? DataDirection.FROM_DEVICE : DataDirection.TO_DEVICE
    if (bytes > 0 && (request.direction !== wanted || bytes > request.data.totalBytes)) {
      return this.#check(request, 5, 0x24, 0)
    }
    if (at + bytes > unit.length) return this.#check(request, 5, 0x21, 0)
    let left = bytes
    for (let piece = 0; piece < request.data.count && left > 0; piece += 1) {
      const from = request.data.addresses[piece]!
      const length = Math.min(left, request.data.lengths[piece]!)
      const guest = request.data.bytes.subarray(from, from + length)
      if (isRead) guest.set(unit.subarray(at, at + length))
      else unit.set(guest, at)
      at += length
      left -= length
    }
    request.transferredBytes = bytes
  }
}

/** As much of `data` as there is room for. */
function give(request: ScsiRequest, data: Uint8Array): void {
  let at = 0
  for (let piece = 0; piece < request.data.count && at < data.length; piece += 1) {
    const length = Math.min(request.data.lengths[piece]!, data.length - at)
    request.data.bytes.set(data.subarray(at, at + length), request.data.addresses[piece])
    at += length
  }
  request.transferredBytes = at
}
