// HOT
// One SCSI request of a guest, from its packet to the answer: the private copy of the packet, the guest's pages it names, mapped for
// as long as it runs, and the request that the target works on. Slots are filled again and again; nothing is allocated by filling.

import { PAGE_SIZE } from '@guestyard/hvdef'
import { PageRangeStatus, PageRangeTable, SlatRight, parsePageRanges } from '@guestyard/guestmem'
import type { DmaDomain } from '@guestyard/guestmem'
import type { IncomingRing } from '@guestyard/ring'
import {
  CDB_BYTES,
  SENSE_ROOM_BYTES,
  SRB_STATUS_AUTOSENSE_VALID,
  STOR_PACKET_BYTES,
  SrbDirection,
  SrbStatus,
  StorExecuteSrb,
  StorOperation,
  StorStatus,
} from '../protocol.ts'
import { DataDirection, ScsiOutcome, ScsiRequest } from '../scsi/scsi-request.ts'

const PACKET_WORDS = STOR_PACKET_BYTES >> 2
const STATUS_WORD = StorExecuteSrb.at.status >> 2
const FLAGS_WORD = StorExecuteSrb.at.flags >> 2
const LENGTH_WORD = StorExecuteSrb.at.dataTransferLength >> 2
const SRB_STATUS = StorExecuteSrb.at.srbStatus
const SCSI_STATUS = StorExecuteSrb.at.scsiStatus
const PATH = StorExecuteSrb.at.pathId
const TARGET = StorExecuteSrb.at.targetId
const LUN = StorExecuteSrb.at.lun
const CDB_LENGTH = StorExecuteSrb.at.cdbLength
const SENSE_LENGTH = StorExecuteSrb.at.senseLength
const DIRECTION = StorExecuteSrb.at.direction
const PAYLOAD = StorExecuteSrb.at.payload
const PAYLOAD_WORD = PAYLOAD >> 2
const PAYLOAD_WORDS = SENSE_ROOM_BYTES >> 2

const SCSI_GOOD = 0
const SCSI_CHECK_CONDITION = 2
const SCSI_TASK_SET_FULL = 0x28

export class RequestSlot {
  readonly request: ScsiRequest
  tidLow = 0
  tidHigh = 0
  /** Bytes of the guest's that the request may move. */
  wantedBytes = 0
  /** The packet, copied once, and then the answer. */
  readonly words: Int32Array<ArrayBuffer> = new Int32Array(PACKET_WORDS)
  readonly #bytes: Uint8Array<ArrayBuffer>
  readonly #table: PageRangeTable
  readonly #maxTransferBytes: number
  /** How the pages are mapped: READ or WRITE; 0 while none is. */
  #access = 0

  /** `maxTransferBytes`: the most that one request may move. */
  constructor(maxTransferBytes: number) {
    const maxPages = Math.ceil(maxTransferBytes / PAGE_SIZE) + 1
    this.request = new ScsiRequest(maxPages)
    this.#bytes = new Uint8Array(this.words.buffer)
    this.#table = new PageRangeTable({ maxRanges: 1, maxPages })
    this.#maxTransferBytes = maxTransferBytes
  }

  /**
   * Takes EXECUTE_SRB from packet `i` of the last drain: copies it, checks the copy, maps the pages it names. False: the answer is
   * composed, and says what is wrong with it.
   */
  take(incoming: IncomingRing, i: number, ranges: number, domain: DmaDomain): boolean {
    this.tidLow = incoming.tidLow(i)
    this.tidHigh = incoming.tidHigh(i)
    this.#copy(incoming, i)
    const bytes = this.#bytes
    const cdbLength = bytes[CDB_LENGTH]!
    const direction = bytes[DIRECTION]!
    const wanted = this.words[LENGTH_WORD]! >>> 0
    this.wantedBytes = direction === SrbDirection.NONE ? 0 : wanted
    if (cdbLength === 0 || cdbLength > CDB_BYTES) return this.#refuse()
    if (direction > SrbDirection.NONE || wanted > this.#maxTransferBytes) return this.#refuse()
    const { request } = this
    request.path = bytes[PATH]!
    request.target = bytes[TARGET]!
    request.lun = bytes[LUN]!
    request.cdbLength = cdbLength
    for (let at = 0; at < CDB_BYTES; at += 1) {
      request.cdb[at] = at < cdbLength ? bytes[PAYLOAD + at]! : 0
    }
    request.outcome = ScsiOutcome.DONE
    request.scsiStatus = 0
    request.senseLength = 0
    request.transferredBytes = 0
    request.askedBytes = 0
    request.data.beginGuest(domain.memory)
    if (this.wantedBytes === 0) {
      request.direction = DataDirection.NONE
      return true
    }
    const isRead = direction === SrbDirection.READ
    request.direction = isRead ? DataDirection.FROM_DEVICE : DataDirection.TO_DEVICE
    return this.#map(incoming, i, ranges, domain, isRead ? SlatRight.WRITE : SlatRight.READ)
  }

  /** The request is over: its pages are the guest's alone. Nothing happens when none is mapped. */
  unmap(domain: DmaDomain): void {
    const access = this.#access
    if (access === 0) return
    this.#access = 0
    domain.unmapRanges(this.#table, access)
  }

  /** Composes the answer to a request that has ended. */
  answer(): void {
    const { request } = this
    const { scsiStatus, transferredBytes } = request
    switch (request.outcome) {
      case ScsiOutcome.DONE:
        if (scsiStatus === SCSI_GOOD && request.askedBytes > this.wantedBytes) {
          this.#reply(StorStatus.DATA_OVERRUN, SrbStatus.DATA_OVERRUN, SCSI_GOOD, transferredBytes)
        } else if (scsiStatus === SCSI_GOOD) {
          this.#reply(StorStatus.SUCCESS, SrbStatus.SUCCESS, SCSI_GOOD, transferredBytes)
        } else if (scsiStatus === SCSI_TASK_SET_FULL) {
          // As an error without sense Linux would try it five times at once, and give up.
          this.#reply(StorStatus.IO_DEVICE_ERROR, SrbStatus.BUSY, scsiStatus, transferredBytes)
        } else {
          this.#reply(StorStatus.IO_DEVICE_ERROR, SrbStatus.ERROR, scsiStatus, transferredBytes)
        }
        return
      case ScsiOutcome.INVALID_REQUEST:
        this.#reply(StorStatus.IO_DEVICE_ERROR, SrbStatus.INVALID_REQUEST, scsiStatus, 0)
        return
      case ScsiOutcome.NO_LOGICAL_UNIT: {
        // Linux removes what it knows at path 0 when it is told that a LUN is invalid, whatever path was asked.
        const srbStatus = request.path === 0 ? SrbStatus.INVALID_LUN : SrbStatus.INVALID_TARGET
        request.senseLength = 0
        this.#reply(StorStatus.DEVICE_DOES_NOT_EXIST, srbStatus, SCSI_CHECK_CONDITION, 0)
        return
      }
      // What is pending is not answered, so this one was given up.
      case ScsiOutcome.ABORTED:
      case ScsiOutcome.PENDING:
        request.senseLength = 0
        this.#reply(StorStatus.CANCELLED, SrbStatus.ABORTED, SCSI_GOOD, 0)
    }
  }

  #copy(incoming: IncomingRing, i: number): void {
    const from = incoming.payloadAt(i) >> 2
    const length = incoming.payloadLength(i) >> 2
    const { arenaWords } = incoming
    const { words } = this
    for (let at = 0; at < PACKET_WORDS; at += 1) {
      words[at] = at < length ? arenaWords[from + at]! : 0
    }
  }

  // One range with room for what is wanted, whose pages the device may reach.
  #map(
    incoming: IncomingRing,
    i: number,
    ranges: number,
    domain: DmaDomain,
    access: number,
  ): boolean {
    if (ranges !== 1) return this.#refuse()
    const table = this.#table
    const status = parsePageRanges(
      incoming.arenaView,
      incoming.rangesAt(i),
      incoming.rangesLength(i),
      1,
      table,
    )
    if (status !== PageRangeStatus.OK || table.totalBytes < this.wantedBytes) return this.#refuse()
    if (!domain.mapRanges(table, access)) return this.#refuse()
    this.#access = access
    this.#spread()
    return true
  }

  /** What is wanted of the range, as pieces of RAM: there is room for one a page. */
  #spread(): void {
    const { byteOffsets, ramPages } = this.#table
    const { data } = this.request
    let left = this.wantedBytes
    let offset = byteOffsets[0]!
    for (let page = 0; left > 0; page += 1) {
      const inPage = PAGE_SIZE - offset
      const length = inPage < left ? inPage : left
      data.add(ramPages[page]! * PAGE_SIZE + offset, length)
      left -= length
      offset = 0
    }
  }

  #refuse(): false {
    this.request.senseLength = 0
    this.#reply(StorStatus.INVALID_PARAMETER, SrbStatus.INVALID_REQUEST, SCSI_GOOD, 0)
    return false
  }

  // Sense data takes the CDB's place, as much of it as the guest has room for.
  #reply(status: number, srbStatus: number, scsiStatus: number, transferredBytes: number): void {
    const { words, request } = this
    const bytes = this.#bytes
    const room = bytes[SENSE_LENGTH]!
    const senseLength = request.senseLength < room ? request.senseLength : room
    words[0] = StorOperation.COMPLETE_IO
    words[FLAGS_WORD] = 0
    words[STATUS_WORD] = status
    words[LENGTH_WORD] = transferredBytes
    for (let at = PAYLOAD_WORD; at < PAYLOAD_WORD + PAYLOAD_WORDS; at += 1) words[at] = 0
    for (let at = 0; at < senseLength; at += 1) bytes[PAYLOAD + at] = request.sense[at]!
    bytes[SRB_STATUS] = senseLength > 0 ? srbStatus | SRB_STATUS_AUTOSENSE_VALID : srbStatus
    bytes[SCSI_STATUS] = scsiStatus
    bytes[SENSE_LENGTH] = senseLength
  }
}
