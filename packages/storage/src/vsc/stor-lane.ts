// HOT
// One channel of a controller as the guest's driver uses it: requests go out in the order of their submission, as many as there are
// tags and as the ring has room for; the rest waits in a list. Answers find their request by its tag.

import {
  PACKET_FLAG_COMPLETION_REQUESTED,
  PACKET_TYPE_COMPLETION,
  PACKET_TYPE_DATA_INBAND,
} from '@guestyard/hvdef'
import { encodePageRange } from '@guestyard/guestmem'
import { RingFault, RingStatus } from '@guestyard/ring'
import type { IncomingRing, OutgoingRing } from '@guestyard/ring'
import type { Channel, ChannelProgram } from '@guestyard/vmbus'
import {
  CDB_BYTES,
  SENSE_ROOM_BYTES,
  SRB_BYTES,
  SRB_BYTES_WIN7,
  SRB_STATUS_AUTOSENSE_VALID,
  SRB_STATUS_MASK,
  STOR_FLAG_COMPLETION_REQUESTED,
  STOR_PACKET_BYTES,
  SrbDirection,
  SrbFlags,
  SrbStatus,
  StorExecuteSrb,
  StorHeader,
  StorOperation,
} from '../protocol.ts'
import { StorOutcome } from './stor-request.ts'
import type { StorRequest } from './stor-request.ts'

/** A channel as the driver uses it: what a bus client's has on top is used when it is there. */
export interface DriverChannel extends Channel {
  /** Puts the channel on the list of those that are polled. */
  wake?(): void
  /** The host broke it: it is closed. */
  fail?(reason: number | string): void
}

/** Whom a lane tells. */
export interface LaneOwner {
  /** Bytes of a packet in the version in force. */
  readonly packetBytes: number
  /** A request has ended. */
  ended(lane: StorLane, request: StorRequest): void
  /** What is no answer to a request: an answer to a packet of the driver's own (`tidLow` above 0 as unsigned), or unsolicited (0). */
  control(lane: StorLane, tidLow: number, at: number, length: number): boolean
  /** Sends what the driver has to send besides requests, before them. False while there is no room for it. */
  sendControl(lane: StorLane): boolean
  /** The ring broke. */
  failed(lane: StorLane): void
}

/** Room before the ranges of a GPA-direct packet. */
const RANGES_AT = 8
const DRAIN_MAX = 128
const QUEUE_ACTION_SIMPLE = 0x20
const NO_QUEUE_TAG = 0xff
const TIMEOUT_SECONDS = 60
const PACKET_WORDS = STOR_PACKET_BYTES >> 2
const FLAGS_WORD = StorExecuteSrb.at.flags >> 2
const STATUS_WORD = StorExecuteSrb.at.status >> 2
const LENGTH_WORD = StorExecuteSrb.at.dataTransferLength >> 2
const SRB_FLAGS_WORD = StorExecuteSrb.at.srbFlags >> 2
const TIMEOUT_WORD = StorExecuteSrb.at.timeoutSeconds >> 2
const SRB_LENGTH = StorExecuteSrb.at.length
const SRB_STATUS = StorExecuteSrb.at.srbStatus
const SCSI_STATUS = StorExecuteSrb.at.scsiStatus
const PATH = StorExecuteSrb.at.pathId
const TARGET = StorExecuteSrb.at.targetId
const LUN = StorExecuteSrb.at.lun
const CDB_LENGTH = StorExecuteSrb.at.cdbLength
const SENSE_LENGTH = StorExecuteSrb.at.senseLength
const DIRECTION = StorExecuteSrb.at.direction
const PAYLOAD = StorExecuteSrb.at.payload
const QUEUE_TAG = StorExecuteSrb.at.queueTag
const QUEUE_ACTION = StorExecuteSrb.at.queueAction
const CHECK_CONDITION = 2

export class StorLane implements ChannelProgram {
  readonly channel: DriverChannel
  readonly incoming: IncomingRing
  readonly outgoing: OutgoingRing
  /** Packets that were skipped because they answer nothing, are short or unknown. */
  ignored = 0
  isOver = false
  readonly #owner: LaneOwner
  /** By tag; a tag's transaction id is the tag and 1, with the use in the upper half. */
  readonly #sent: (StorRequest | null)[]
  readonly #freeTags: Int32Array
  #freeCount: number
  #uses = 0
  #first: StorRequest | null = null
  #last: StorRequest | null = null
  /** Bytes that the last write found missing, 0 when it went through. */
  #neededBytes = 0

  /** `depth`: requests that the host has at a time. */
  constructor(channel: DriverChannel, owner: LaneOwner, depth: number) {
    this.channel = channel
    this.incoming = channel.incoming
    this.outgoing = channel.outgoing
    this.#owner = owner
    this.#sent = Array.from({ length: depth }, () => null)
    this.#freeTags = Int32Array.from({ length: depth }, (_, index) => depth - 1 - index)
    this.#freeCount = depth
  }

  /** Requests that the host has. */
  get sentCount(): number {
    return this.#sent.length - this.#freeCount
  }

  /** Number `tag` of the requests that the host has, or null. */
  sent(tag: number): StorRequest | null {
    return this.#sent[tag] ?? null
  }

  get depth(): number {
    return this.#sent.length
  }

  /** Puts a request at the end of those that wait. It goes out in the next poll, or `flush`. */
  submit(request: StorRequest): void {
    request.next = null
    if (this.#last === null) this.#first = request
    else this.#last.next = request
    this.#last = request
  }

  poll(budget: number): number {
    if (this.isOver) return 0
    let done = 0
    while (done < budget) {
      const left = budget - done
      const count = this.incoming.drain(left < DRAIN_MAX ? left : DRAIN_MAX)
      if (count <= 0) {
        if (count < 0) this.#fail()
        break
      }
      for (let i = 0; i < count && !this.isOver; i += 1) this.#receive(i)
      done += count
    }
    return this.isOver ? done : done + this.flush()
  }

  /** Sends what waits, as far as there is room, and publishes it. Packets sent. */
  flush(): number {
    let sent = 0
    this.#neededBytes = 0
    if (this.#owner.sendControl(this)) {
      while (this.#first !== null && this.#freeCount > 0 && this.#send(this.#first)) sent += 1
    } else if (!this.isOver) {
      this.#neededBytes = this.outgoing.neededBytes
    }
    if (this.isOver) return sent
    const frees = this.incoming.commit()
    if (this.outgoing.commit() || frees) this.channel.signal()
    return sent
  }

  arm(): boolean {
    if (this.isOver) return false
    this.flush()
    if (this.isOver) return false
    if (this.#neededBytes > 0 && this.outgoing.setPendingSendSize(this.#neededBytes)) return true
    return this.incoming.unmask()
  }

  disarm(): void {
    if (this.isOver) return
    this.outgoing.clearPendingSendSize()
    this.incoming.mask()
  }

  close(): void {
    this.isOver = true
  }

  /** The channel is closed, and the host has let go: every request is over. */
  giveUp(): void {
    this.isOver = true
    for (let tag = 0; tag < this.#sent.length; tag += 1) {
      const request = this.#sent[tag]!
      if (request !== null) this.#finish(tag, request, StorOutcome.GONE)
    }
    let waiting = this.#first
    this.#first = null
    this.#last = null
    while (waiting !== null) {
      const { next } = waiting
      waiting.outcome = StorOutcome.GONE
      this.#owner.ended(this, waiting)
      waiting = next
    }
  }

  #send(request: StorRequest): boolean {
    const { outgoing } = this
    const tag = this.#freeTags[this.#freeCount - 1]!
    const use = (this.#uses + 1) | 0
    const hasData = request.lengthBytes > 0
    const rangesBytes = hasData
      ? encodePageRange(
          outgoing.stagingView,
          RANGES_AT,
          request.offsetBytes,
          request.lengthBytes,
          request.pfns,
        )
      : 0
    const at = hasData ? RANGES_AT + rangesBytes : 0
    this.#compose(request, at)
    const { packetBytes } = this.#owner
    const flags = PACKET_FLAG_COMPLETION_REQUESTED
    const written = hasData
      ? outgoing.writeGpaDirect(0, 1, rangesBytes, packetBytes, flags, tag + 1, use)
      : outgoing.write(0, packetBytes, PACKET_TYPE_DATA_INBAND, flags, tag + 1, use)
    if (written !== RingStatus.OK) {
      if (written === RingStatus.FULL) this.#neededBytes = outgoing.neededBytes
      else this.#fail()
      return false
    }
    this.#uses = use
    request.use = use
    this.#freeCount -= 1
    this.#sent[tag] = request
    this.#first = request.next
    if (this.#first === null) this.#last = null
    return true
  }

  #compose(request: StorRequest, at: number): void {
    const { stagingWords: words, staging: bytes } = this.outgoing
    const word = at >> 2
    for (let index = 0; index < PACKET_WORDS; index += 1) words[word + index] = 0
    words[word] = StorOperation.EXECUTE_SRB
    words[word + FLAGS_WORD] = STOR_FLAG_COMPLETION_REQUESTED
    words[word + LENGTH_WORD] = request.lengthBytes
    const isFull = this.#owner.packetBytes === STOR_PACKET_BYTES
    bytes[at + SRB_LENGTH] = isFull ? SRB_BYTES : SRB_BYTES_WIN7
    bytes[at + PATH] = request.path
    bytes[at + TARGET] = request.target
    bytes[at + LUN] = request.lun
    bytes[at + CDB_LENGTH] = request.cdbLength
    bytes[at + SENSE_LENGTH] = SENSE_ROOM_BYTES
    bytes[at + DIRECTION] = request.lengthBytes > 0 ? request.direction : SrbDirection.NONE
    for (let index = 0; index < CDB_BYTES; index += 1) {
      bytes[at + PAYLOAD + index] = request.cdb[index]!
    }
    if (!isFull) return
    bytes[at + QUEUE_TAG] = NO_QUEUE_TAG
    bytes[at + QUEUE_ACTION] = QUEUE_ACTION_SIMPLE
    words[word + SRB_FLAGS_WORD] = srbFlags(request)
    words[word + TIMEOUT_WORD] = TIMEOUT_SECONDS
  }

  #receive(i: number): void {
    const { incoming } = this
    const at = incoming.payloadAt(i)
    const length = incoming.payloadLength(i)
    const tidLow = incoming.tidLow(i)
    const isAnswer = incoming.packetType(i) === PACKET_TYPE_COMPLETION
    const tag = tidLow - 1
    if (!isAnswer || tag < 0 || tag >= this.#sent.length) {
      const isKnown =
        length >= StorHeader.size && this.#owner.control(this, isAnswer ? tidLow : 0, at, length)
      if (!isKnown) this.ignored += 1
      return
    }
    const request = this.#sent[tag]!
    const fits = length >= this.#owner.packetBytes
    if (request === null || request.use !== incoming.tidHigh(i) || !fits) {
      this.ignored += 1
      return
    }
    this.#read(request, at)
    this.#finish(tag, request, request.outcome)
  }

  #finish(tag: number, request: StorRequest, outcome: StorOutcome): void {
    this.#sent[tag] = null
    this.#freeTags[this.#freeCount] = tag
    this.#freeCount += 1
    request.outcome = outcome
    this.#owner.ended(this, request)
  }

  /** An answer, whose numbers may be anything. */
  #read(request: StorRequest, at: number): void {
    const { arena, arenaWords } = this.incoming
    const word = at >> 2
    const srb = arena[at + SRB_STATUS]!
    const srbStatus = srb & SRB_STATUS_MASK
    const moved = arenaWords[word + LENGTH_WORD]! >>> 0
    request.srbStatus = srbStatus
    request.scsiStatus = arena[at + SCSI_STATUS]!
    request.transferredBytes = moved < request.lengthBytes ? moved : request.lengthBytes
    request.senseLength = 0
    if ((srb & SRB_STATUS_AUTOSENSE_VALID) !== 0) {
      const told = arena[at + SENSE_LENGTH]!
      request.senseLength = told < SENSE_ROOM_BYTES ? told : SENSE_ROOM_BYTES
      for (let index = 0; index < request.senseLength; index += 1) {
        request.sense[index] = arena[at + PAYLOAD + index]!
      }
    }
    request.outcome = outcomeOf(srbStatus, request.scsiStatus, arenaWords[word + STATUS_WORD]!)
  }

  #fail(): void {
    if (this.isOver) return
    this.isOver = true
    this.#owner.failed(this)
    const { fault } = this.incoming
    this.channel.fail?.(fault === RingFault.NONE ? this.outgoing.fault : fault)
  }
}

function srbFlags(request: StorRequest): number {
  const flags = SrbFlags.QUEUE_ACTION_ENABLE | SrbFlags.DISABLE_SYNCH_TRANSFER
  if (request.lengthBytes === 0) return flags
  return flags | (request.direction === SrbDirection.READ ? SrbFlags.DATA_IN : SrbFlags.DATA_OUT)
}

function outcomeOf(srbStatus: number, scsiStatus: number, status: number): StorOutcome {
  if (srbStatus === SrbStatus.SUCCESS && scsiStatus === 0 && status === 0) return StorOutcome.OK
  switch (srbStatus) {
    case SrbStatus.INVALID_LUN:
    case SrbStatus.INVALID_TARGET:
    case SrbStatus.NO_DEVICE:
      return StorOutcome.NO_LOGICAL_UNIT
    case SrbStatus.ABORTED:
      return StorOutcome.ABORTED
    default:
  }
  if (scsiStatus === CHECK_CONDITION) return StorOutcome.CHECK_CONDITION
  return scsiStatus === 0 ? StorOutcome.REFUSED : StorOutcome.OTHER_STATUS
}
