// HOT
// The conversation with one guest over one channel of a controller: packets in, requests to the target, completions out. What may be
// asked when is in handshake.ts.
//
// What cannot be answered fails the channel: a packet without an operation, or one that asks for no completion. A request is read only
// when there is a slot for it and room for its completion, so that what runs is bounded, and everything that ends can be told. What the
// guest sends beyond stays in its ring.

import {
  PACKET_FLAG_COMPLETION_REQUESTED,
  PACKET_TYPE_COMPLETION,
  PACKET_TYPE_DATA_INBAND,
  PACKET_TYPE_DATA_USING_GPA_DIRECT,
  assert,
} from '@guestyard/hvdef'
import { RingStatus, packetBytes } from '@guestyard/ring'
import type { IncomingRing, OutgoingRing } from '@guestyard/ring'
import type { ChannelProgram, CloseResult, SavedProgram } from '@guestyard/vmbus'
import type { ServerChannel } from '@guestyard/vmbus/server'
import {
  SRB_BYTES_WIN7,
  STOR_PACKET_BYTES,
  STOR_PACKET_BYTES_WIN7,
  STOR_PROPERTY_MULTI_CHANNEL,
  StorExecuteSrb,
  StorHeader,
  StorOperation,
  StorProperties,
  StorStatus,
} from '../protocol.ts'
import { ScsiOutcome } from '../scsi/scsi-request.ts'
import { Handshake, subChannelCount } from './handshake.ts'
import type { StorStateName } from './handshake.ts'
import type { RequestSlot } from './request-slot.ts'
import { SlotPool } from './slot-pool.ts'
import type { StorChannelInspection, StorController, StorEnd } from './stor-controller.ts'

/** Packets copied out of the ring at once. */
const DRAIN_MAX = 64
/** Requests that are executed in a row. */
const BATCH_MAX = 32
/**
 * Bytes after which requests are executed and the guest told: it goes on with what has ended while the next are under way, and does not
 * fall asleep over one long batch.
 */
const BATCH_BYTES = 64 * 1024
/** Bytes of ring that any completion takes, and any unsolicited packet. */
const COMPLETION_BYTES = packetBytes(STOR_PACKET_BYTES)
/** Bytes moved or filled that count as one unit of a poll's budget, beside the request itself. */
const UNIT_SHIFT = 14
/** A packet with the request of the oldest versions. */
const EXECUTE_SRB_MIN = StorHeader.size + SRB_BYTES_WIN7
const PATH = StorExecuteSrb.at.pathId
const TARGET = StorExecuteSrb.at.targetId
const LUN = StorExecuteSrb.at.lun
const OPERATION_WORD = StorHeader.at.operation >> 2
const BODY_WORD = StorHeader.size >> 2

/** Runs on an open channel of a controller. Root's thread only. */
export class StorProgram implements ChannelProgram, StorEnd {
  readonly channel: ServerChannel
  readonly #incoming: IncomingRing
  readonly #outgoing: OutgoingRing
  readonly #controller: StorController
  readonly #slots: SlotPool
  readonly #handshake: Handshake
  #drained = 0
  #next = 0
  /** Completions that are known to find room, beside those of the requests that run. */
  #room = 0
  #seenEndings = 0
  #owesEnumeration = false
  /** Requests that were taken in this poll and are not executed yet. */
  readonly #batch: (RequestSlot | null)[] = Array.from({ length: BATCH_MAX }, () => null)
  #batched = 0
  #batchedBytes = 0
  #requests = 0
  #refused = 0

  constructor(channel: ServerChannel, controller: StorController) {
    this.channel = channel
    this.#incoming = channel.incoming
    this.#outgoing = channel.outgoing
    this.#controller = controller
    this.#handshake = new Handshake(channel.subChannelIndex === 0)
    // Two completions less than the ring holds: so much can always become free while as many run as may.
    const most = Math.floor(channel.outgoing.sizeBytes / COMPLETION_BYTES) - 2
    const limit = Math.min(controller.requestsPerChannel, most)
    this.#slots = new SlotPool(limit, controller.maxTransferBytes)
  }

  get state(): StorStateName {
    return this.#handshake.state
  }

  get isOver(): boolean {
    return this.#handshake.state === 'over'
  }

  /** Bytes of a packet in the version in force. */
  get packetBytes(): number {
    return this.#handshake.packetBytes
  }

  /** Requests that run. */
  get runningCount(): number {
    return this.#slots.runningCount
  }

  inspect(): StorChannelInspection {
    return {
      subChannelIndex: this.channel.subChannelIndex,
      state: this.#handshake.state,
      version: this.#handshake.version,
      running: this.#slots.runningCount,
      requests: this.#requests,
      refused: this.#refused,
    }
  }

  /** The guest is to look for LUNs again: told when there is room, once for any number of changes. */
  announceChange(): void {
    if (this.state !== 'ready') return
    this.#owesEnumeration = true
    this.channel.wake()
  }

  poll(budget: number): number {
    let done = this.#slots.runningCount > 0 ? this.#goOn(budget) : 0
    if (this.#owesEnumeration) done += this.#enumerate()
    while (done < budget && this.#hasPacket()) {
      if (this.#batched === BATCH_MAX || this.#batchedBytes >= BATCH_BYTES) {
        done += this.#executeBatch()
        if (!this.isOver) this.#flush()
      }
      if (!this.#hasPlace()) break
      done += this.#step(this.#next)
    }
    done += this.#executeBatch()
    if (!this.isOver) this.#flush()
    return done
  }

  arm(): boolean {
    if (this.isOver) return false
    this.#flush()
    const { target } = this.#controller
    // A disk that is due at once goes on by being polled.
    if (this.#slots.runningCount > 0 && target.nextDeadlineMs() <= 0) return true
    // As many run as may: one that ends is work, and nothing is read before.
    if (this.#slots.isFull) return false
    const hasPlace = this.#hasPlace()
    if (this.isOver) return false
    if (this.#owesEnumeration || !hasPlace) {
      // The room of what runs, of one more, and of an announcement.
      const wanted = (this.#slots.runningCount + 2) * COMPLETION_BYTES
      return this.#outgoing.setPendingSendSize(wanted)
    }
    return this.#next < this.#drained || this.#incoming.unmask()
  }

  disarm(): void {
    if (this.isOver) return
    this.#outgoing.clearPendingSendSize()
    this.#incoming.mask()
  }

  close(): CloseResult {
    this.#handshake.state = 'over'
    const { target } = this.#controller
    for (let index = 0; index < this.#batched; index += 1) {
      const slot = this.#batch[index]!
      slot.unmap(this.channel.domain)
      this.#slots.release(slot)
    }
    this.#batched = 0
    for (let index = this.#slots.runningCount - 1; index >= 0; index -= 1) {
      const { request } = this.#slots.running(index)
      if (request.outcome === ScsiOutcome.PENDING) target.abort(request)
    }
    if (!this.drop()) {
      this.#controller.pollTarget(this.#slots.runningCount, this)
      this.drop()
    }
    this.#controller.closed(this)
    return this.#slots.runningCount === 0 ? undefined : 'pending'
  }

  /** Its state, once nothing runs and nothing that was read is left: what the guest has sent beyond lies in its ring. */
  save(): SavedProgram | null {
    const isQuiet =
      this.#slots.runningCount === 0 && this.#batched === 0 && this.#next === this.#drained
    if (this.isOver || !isQuiet) return null
    const { state, version } = this.#handshake
    return { version: 1, state, protocol: version, owesEnumeration: this.#owesEnumeration }
  }

  restore({ version, state, protocol, owesEnumeration }: SavedProgram): boolean {
    if (version !== 1 || !this.#handshake.restore(state, protocol)) return false
    this.#owesEnumeration = owesEnumeration === true
    return true
  }

  /** After `close`: lets go of requests that have ended. True when none is left. */
  drop(): boolean {
    for (let index = this.#slots.runningCount - 1; index >= 0; index -= 1) {
      const slot = this.#slots.running(index)
      if (slot.request.outcome === ScsiOutcome.PENDING) continue
      slot.unmap(this.channel.domain)
      this.#slots.end(index)
    }
    return this.#slots.runningCount === 0
  }

  // Half of a poll is for what runs, so that what comes meanwhile isn't held up. Requests that ran are looked at when some may have
  // ended. Units done: a disk that could go on has used up what it was given, though nothing ended.
  #goOn(budget: number): number {
    const half = Math.ceil(budget / 2)
    const { target } = this.#controller
    this.#controller.pollTarget(half, this)
    const ended = this.#seenEndings === this.#controller.endings ? 0 : this.#answerEnded()
    return target.nextDeadlineMs() <= 0 ? Math.max(half, ended) : ended
  }

  #answerEnded(): number {
    this.#seenEndings = this.#controller.endings
    let done = 0
    for (let index = this.#slots.runningCount - 1; index >= 0; index -= 1) {
      const slot = this.#slots.running(index)
      if (slot.request.outcome === ScsiOutcome.PENDING) continue
      this.#slots.end(index)
      done += 1
      this.#finish(slot)
      if (this.isOver) break
    }
    return done
  }

  #hasPacket(): boolean {
    if (this.isOver) return false
    if (this.#next < this.#drained) return true
    const drained = this.#incoming.drain(DRAIN_MAX)
    this.#next = 0
    this.#drained = drained > 0 ? drained : 0
    if (drained < 0) this.#fail(this.#incoming.fault)
    return drained > 0
  }

  /** A slot, and room for its completion. */
  #hasPlace(): boolean {
    if (this.isOver || this.#slots.isFull) return false
    if (this.#room > 0) return true
    const free = this.#outgoing.writableBytes()
    if (free < 0) {
      this.#fail(this.#outgoing.fault)
      return false
    }
    // One more is kept for an announcement.
    this.#room = Math.floor(free / COMPLETION_BYTES) - this.#slots.takenCount - 1
    return this.#room > 0
  }

  /** Serves packet `i` of the last drain. Units done. */
  #step(i: number): number {
    const incoming = this.#incoming
    this.#next = i + 1
    const type = incoming.packetType(i)
    if (type === PACKET_TYPE_COMPLETION) return 1
    const length = incoming.payloadLength(i)
    if (length < StorHeader.size) return this.#fail('a packet without an operation')
    if ((incoming.flags(i) & PACKET_FLAG_COMPLETION_REQUESTED) === 0) {
      return this.#fail('a packet that asks for no completion')
    }
    const word = incoming.payloadAt(i) >> 2
    const operation = incoming.arenaWords[word + OPERATION_WORD]! >>> 0
    if (
      operation === StorOperation.EXECUTE_SRB &&
      this.#canExecute() &&
      length >= EXECUTE_SRB_MIN
    ) {
      return this.#execute(i, type)
    }
    return this.#control(i, operation, length)
  }

  #canExecute(): boolean {
    const { state } = this
    return state === 'ready' || (state === 'sub-channel' && this.#controller.isReady)
  }

  #execute(i: number, type: number): number {
    const incoming = this.#incoming
    const slot = this.#slots.take()
    const ranges = type === PACKET_TYPE_DATA_USING_GPA_DIRECT ? incoming.rangeCount(i) : 0
    this.#room -= 1
    if (!slot.take(incoming, i, ranges, this.channel.domain)) {
      this.#refused += 1
      this.#send(slot)
      this.#slots.release(slot)
      return 1
    }
    this.#batch[this.#batched] = slot
    this.#batched += 1
    this.#batchedBytes += slot.wantedBytes
    return 1 + (slot.wantedBytes >>> UNIT_SHIFT)
  }

  /**
   * Has the target execute what was taken, then answers what has ended. Each of the three steps runs for many requests in a row: a
   * file's read is a trip through the platform's kernel, after which all code here is as slow as on its first run. Units done, beside
   * those that are counted when a request is taken.
   */
  #executeBatch(): number {
    const batched = this.#batched
    if (batched === 0) return 0
    let filledBytes = 0
    this.#batched = 0
    this.#batchedBytes = 0
    const batch = this.#batch
    const { target } = this.#controller
    for (let index = 0; index < batched; index += 1) {
      const slot = batch[index]!
      const { request } = slot
      target.execute(request)
      filledBytes += request.filledBytes
      if (request.outcome !== ScsiOutcome.PENDING) continue
      // From here on it is one of those that run, though a later request may end it at once.
      this.#slots.run(slot)
      batch[index] = null
    }
    for (let index = 0; index < batched; index += 1) {
      const slot = batch[index]!
      if (slot === null) continue
      this.#finish(slot)
      this.#slots.release(slot)
    }
    return filledBytes >>> UNIT_SHIFT
  }

  /** The request has ended: its pages are let go, then the guest is told, if there still is one. */
  #finish(slot: RequestSlot): void {
    slot.unmap(this.channel.domain)
    if (this.isOver) return
    slot.answer()
    this.#send(slot)
  }

  #send(slot: RequestSlot): void {
    this.#requests += 1
    const { stagingWords } = this.#outgoing
    for (let at = 0; at < slot.words.length; at += 1) stagingWords[at] = slot.words[at]!
    this.#complete(this.#controller.packetBytes, slot.tidLow, slot.tidHigh)
  }

  /** Everything but requests: rare, and answered at once. */
  #control(i: number, operation: number, length: number): number {
    // What came before it is under way, or over.
    const filled = this.#executeBatch()
    if (this.isOver) return 1 + filled
    const incoming = this.#incoming
    const at = incoming.payloadAt(i)
    const bytes = this.#controlBytes(length)
    const status = this.#serve(operation, at, length)
    if (this.isOver) return 1 + filled
    this.#repeat(at >> 2, length >> 2)
    this.#outgoing.stagingWords[OPERATION_WORD] = StorOperation.COMPLETE_IO
    this.#outgoing.stagingView.setUint32(StorHeader.at.status, status, true)
    const isDone = status === StorStatus.SUCCESS
    if (isDone && operation === StorOperation.QUERY_PROPERTIES) this.#describe()
    this.#room -= 1
    this.#complete(bytes, incoming.tidLow(i), incoming.tidHigh(i))
    if (isDone && operation === StorOperation.CREATE_SUB_CHANNELS) {
      // The answer first: a guest that has it expects the offers.
      this.#flush()
      this.channel.offerSubChannels(subChannelCount(incoming.arenaView, at))
    }
    return 1 + filled
  }

  // An answer repeats the body.
  #repeat(from: number, given: number): void {
    const { arenaWords } = this.#incoming
    const { stagingWords } = this.#outgoing
    for (let at = 0; at < STOR_PACKET_BYTES >> 2; at += 1) {
      stagingWords[at] = at >= BODY_WORD && at < given ? arenaWords[from + at]! : 0
    }
  }

  // Before a version is agreed on, a guest gets as much as it sent, between the sizes that there are.
  #controlBytes(length: number): number {
    const isAgreed = this.#handshake.version !== 0 || this.state === 'sub-channel'
    if (isAgreed) return this.#controller.packetBytes
    return length < STOR_PACKET_BYTES ? STOR_PACKET_BYTES_WIN7 : STOR_PACKET_BYTES
  }

  /** What the operation does now, and the status that answers it. Its packet lies at `at` of the arena. */
  #serve(operation: number, at: number, length: number): number {
    if (this.state === 'ready') {
      switch (operation) {
        case StorOperation.RESET_LUN:
          if (length < EXECUTE_SRB_MIN) return StorStatus.INVALID_PARAMETER
          return this.#resetUnit(at)
        case StorOperation.RESET_ADAPTER:
        case StorOperation.RESET_BUS:
          this.#controller.target.resetAll()
          return this.#wasReset()
        // Too short to be a request.
        case StorOperation.EXECUTE_SRB:
          return StorStatus.INVALID_PARAMETER
      }
    }
    const free = this.#controller.maxSubChannels - this.channel.subChannelCount
    return this.#handshake.step(operation, this.#incoming.arenaView, at, length, free)
  }

  #resetUnit(at: number): number {
    const { arena } = this.#incoming
    this.#controller.target.resetUnit(arena[at + PATH]!, arena[at + TARGET]!, arena[at + LUN]!)
    return this.#wasReset()
  }

  // What the reset ended is answered before the reset is.
  #wasReset(): number {
    this.#controller.requestsEnded(this)
    this.#answerEnded()
    return StorStatus.SUCCESS
  }

  #describe(): void {
    const { maxSubChannels, maxTransferBytes } = this.#controller
    StorProperties.encode(this.#outgoing.stagingView, 0, {
      operation: StorOperation.COMPLETE_IO,
      flags: 0,
      status: StorStatus.SUCCESS,
      maxSubChannels,
      propertyFlags: maxSubChannels > 0 ? STOR_PROPERTY_MULTI_CHANNEL : 0,
      maxTransferBytes,
    })
  }

  #enumerate(): number {
    // Not the room of what runs.
    const wanted = (this.#slots.runningCount + 1) * COMPLETION_BYTES
    if (this.#outgoing.writableBytes() < wanted) return 0
    const words = this.#outgoing.stagingWords
    for (let at = 0; at < STOR_PACKET_BYTES >> 2; at += 1) words[at] = 0
    words[OPERATION_WORD] = StorOperation.ENUMERATE_BUS
    const written = this.#outgoing.write(0, this.packetBytes, PACKET_TYPE_DATA_INBAND, 0, 0, 0)
    if (written === RingStatus.FAULT) return this.#fail(this.#outgoing.fault)
    this.#owesEnumeration = false
    this.#room = 0
    return 1
  }

  /** Writes what is composed as a completion. Its room was known before the packet was taken. */
  #complete(length: number, tidLow: number, tidHigh: number): void {
    const written = this.#outgoing.write(0, length, PACKET_TYPE_COMPLETION, 0, tidLow, tidHigh)
    if (written === RingStatus.OK) return
    assert(written === RingStatus.FAULT, 'A completion has room before its request is taken.')
    this.#fail(this.#outgoing.fault)
  }

  #flush(): void {
    const frees = this.#incoming.commit()
    if (this.#outgoing.commit() || frees) this.channel.signal()
  }

  /** One unit: what was sent ends the channel. */
  #fail(reason: number | string): number {
    this.#handshake.state = 'over'
    const said = typeof reason === 'number' ? reason : `storage: the guest sent ${reason}`
    this.channel.fail(said)
    return 1
  }
}
