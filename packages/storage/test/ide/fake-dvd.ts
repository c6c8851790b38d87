// A DVD unit for the tests of the drive: it remembers what it was asked and answers what the test says.

import { ScsiOutcome, type ScsiRequest } from '@guestyard/storage/scsi'

export class FakeDvd {
  readonly cdbs: number[][] = []
  readonly sent: number[][] = []
  /** Bytes of the next answers; a READ gets its blocks' numbers. */
  answer: Uint8Array = new Uint8Array(0)
  /** Sense key and additional sense of the next command, instead. */
  sense: readonly [key: number, asc: number] | null = null
  /** Requests wait for `release`. */
  holds = false
  held: ScsiRequest | null = null
  aborts = 0

  execute(request: ScsiRequest): void {
    this.cdbs.push([...request.cdb.subarray(0, request.cdbLength)])
    request.outcome = ScsiOutcome.PENDING
    this.held = request
    if (!this.holds) this.release()
  }

  release(): void {
    const request = this.held!
    this.held = null
    request.outcome = ScsiOutcome.DONE
    request.scsiStatus = 0
    request.senseLength = 0
    request.transferredBytes = 0
    if (this.sense !== null) {
      request.scsiStatus = 2
      request.senseLength = 18
      request.sense.fill(0)
      request.sense[0] = 0x70
      request.sense[2] = this.sense[0]
      request.sense[12] = this.sense[1]
      this.sense = null
      return
    }
    const { bytes, totalBytes, addresses } = request.data
    const at = addresses[0]!
    if (request.direction === 1) {
      this.sent.push([...bytes.subarray(at, at + totalBytes)])
      request.transferredBytes = totalBytes
      return
    }
    if (request.cdb[0] === 0x28 || request.cdb[0] === 0xa8) this.#read(request)
    else {
      const length = Math.min(this.answer.length, totalBytes)
      bytes.set(this.answer.subarray(0, length), at)
      request.transferredBytes = length
    }
  }

  poll(): number {
    return 0
  }

  nextDeadlineMs(): number {
    return Infinity
  }

  abort(request: ScsiRequest): void {
    this.aborts += 1
    request.outcome = ScsiOutcome.ABORTED
    this.held = null
  }

  #read(request: ScsiRequest): void {
    const { cdb, data } = request
    const view = new DataView(cdb.buffer)
    const first = view.getUint32(2)
    const blocks = cdb[0] === 0x28 ? view.getUint16(7) : view.getUint32(6)
    for (let i = 0; i < blocks; i++) {
      const at = data.addresses[0]! + i * 2048
      data.bytes.fill((first + i) & 0xff, at, at + 2048)
    }
    request.transferredBytes = blocks * 2048
  }
}
