// A SCSI controller's guest end: the handshake, sub-channels, requests, resets, and the search for logical units.
//
//   state        | what was asked            | its answer
//   -------------|---------------------------|---------------------------------------------------------------
//   closed       |                           | the channel opens: -> begin
//   begin        | BEGIN_INITIALIZATION      | -> version, failed
//   version      | QUERY_PROTOCOL_VERSION    | -> properties; refused: the next older version; none is left: failed
//   properties   | QUERY_PROPERTIES          | -> end, failed
//   end          | END_INITIALIZATION        | -> sub-channels when some are wanted and offered, else ready; failed
//   sub-channels | CREATE_SUB_CHANNELS       | -> ready, refused or not
//   ready        | requests, RESET_BUS       | the requests'; units are looked for again when the host says so
//   failed       |                           |
//
// What does not fit is skipped and counted, as Linux does.

import { PACKET_FLAG_COMPLETION_REQUESTED, PACKET_TYPE_DATA_INBAND } from '@guestyard/hvdef'
import { RingStatus, ringFaultName } from '@guestyard/ring'
import type { ChannelListener, ClientChannel, CloseReason } from '@guestyard/vmbus/client'
import {
  SCSI_CLASS_ID,
  STOR_FLAG_COMPLETION_REQUESTED,
  STOR_PACKET_BYTES,
  STOR_PACKET_BYTES_WIN7,
  STOR_PROPERTY_MULTI_CHANNEL,
  STOR_RING_BYTES,
  StorHeader,
  StorOperation,
  StorProperties,
  StorStatus,
  StorVersion,
} from '../protocol.ts'
import { LunScan } from './lun-scan.ts'
import type { StorUnit } from './lun-scan.ts'
import { SenseKey, saysMediumChanged, saysUnitsChanged, senseKey } from './sense.ts'
import { StorLane } from './stor-lane.ts'
import type { DriverChannel, LaneOwner } from './stor-lane.ts'
import type { StorVscListener, StorVscOptions } from './storvsc-options.ts'
import { StorOutcome } from './stor-request.ts'
import type { StorRequest } from './stor-request.ts'

export type StorVscState =
  | 'closed'
  | 'begin'
  | 'version'
  | 'properties'
  | 'end'
  | 'sub-channels'
  | 'ready'
  | 'failed'

const DEPTH = 128
const TIMEOUT_MS = 60_000
/** Times that a request is sent again after a unit attention, which is news and no failure. */
const RETRIES_MAX = 5
/** Transaction ids of the driver's own packets: 2^64-3 and 2^64-4, as Linux numbers them. */
const TID_HANDSHAKE = -3
const TID_RESET = -4
const TID_HIGH = -1
/** Newest first. */
const VERSIONS: readonly number[] = [
  StorVersion.WIN10,
  StorVersion.WIN8_1,
  StorVersion.WIN8,
  StorVersion.WIN7,
  StorVersion.WIN6,
]
const OPERATIONS: Partial<Record<StorVscState, number>> = {
  begin: StorOperation.BEGIN_INITIALIZATION,
  version: StorOperation.QUERY_PROTOCOL_VERSION,
  properties: StorOperation.QUERY_PROPERTIES,
  end: StorOperation.END_INITIALIZATION,
  'sub-channels': StorOperation.CREATE_SUB_CHANNELS,
}
const BODY_AT = StorHeader.size

/** Driver of one controller. VP's thread only. */
export class StorVsc implements LaneOwner {
  readonly classId = SCSI_CLASS_ID
  /** Data bytes of the rings to open a channel with, primary or sub-channel. */
  readonly sendBytes: number
  readonly receiveBytes: number
  /** For `VmbusClient.open`, of the primary and of each sub-channel that is offered. */
  readonly channels: ChannelListener
  /** In force; of 64 or 48 bytes. */
  packetBytes: number = STOR_PACKET_BYTES
  /** Most bytes of one request, 0 before the host has said so. */
  maxTransferBytes = 0
  readonly #options: StorVscOptions
  readonly #listener: StorVscListener
  readonly #scan: LunScan
  readonly #lanes: StorLane[] = []
  readonly #depth: number
  readonly #timeoutMs: number
  #state: StorVscState = 'closed'
  #isAsked = false
  #version = 0
  #subChannels = 0
  #reset: 'none' | 'wanted' | 'asked' = 'none'
  #ignoredBefore = 0
  #attentions = 0

  constructor(options: StorVscOptions) {
    const { ringBytes = STOR_RING_BYTES, depth = DEPTH, timeoutMs = TIMEOUT_MS } = options
    this.sendBytes = ringBytes
    this.receiveBytes = ringBytes
    this.#options = options
    this.#listener = options.listener
    this.#depth = depth
    this.#timeoutMs = timeoutMs
    this.#scan = new LunScan(options.memory, options.scratchPfn, {
      submit: (request) => this.submit(request, 0),
      found: (units) => this.#listener.onUnits?.(units),
    })
    this.channels = {
      opened: (channel) => this.bind(channel),
      closed: (channel, reason) => this.#closed(channel, reason),
    }
  }

  get state(): StorVscState {
    return this.#state
  }

  /** Version in force, 0 before. */
  get version(): number {
    return this.#state === 'closed' || this.#state === 'begin' || this.#state === 'version'
      ? 0
      : (VERSIONS[this.#version] ?? 0)
  }

  /** Channels that take requests: the primary is number 0. */
  get laneCount(): number {
    return this.#lanes.length
  }

  /** Packets that were skipped because they answered nothing, were short or unknown. */
  get ignored(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.ignored, this.#ignoredBefore)
  }

  /** Unit attentions met so far. */
  get attentions(): number {
    return this.#attentions
  }

  /** Units as they were found last. */
  get units(): readonly StorUnit[] {
    return this.#scan.units
  }

  /** Starts on a channel that has just opened: the primary first. */
  bind(channel: DriverChannel): StorLane {
    const lane = new StorLane(channel, this, this.#depth)
    if (this.#lanes.length === 0) {
      this.#state = 'begin'
      this.#isAsked = false
      this.#version = 0
      this.#reset = 'none'
      this.packetBytes = STOR_PACKET_BYTES
    }
    this.#lanes.push(lane)
    lane.flush()
    return lane
  }

  /**
   * Submits a request whose unit, command and data are set, on channel `lane`. It goes out with the next poll of the channel, which
   * is woken, or with `flush`. False, and nothing happens, when the controller is not ready or has no such channel. HOT.
   */
  submit(request: StorRequest, lane: number): boolean {
    const end = this.#lanes[lane]
    if (this.#state !== 'ready' || end === undefined || end.isOver) return false
    request.outcome = StorOutcome.PENDING
    request.retries = 0
    request.isLate = false
    request.submittedMs = this.#options.clock.nowMs
    end.submit(request)
    end.channel.wake?.()
    return true
  }

  /** Publishes what was submitted on a channel, now. */
  flush(lane: number): void {
    const end = this.#lanes[lane]
    if (end !== undefined && !end.isOver) end.flush()
  }

  /** Looks for units again; `onUnits` follows. */
  rescan(): void {
    if (this.#state === 'ready') this.#scan.start()
  }

  /** Asks the host to give up whatever runs on the controller; `onReset` follows, after the requests' ends. */
  reset(): void {
    const [primary] = this.#lanes
    if (this.#state !== 'ready' || primary === undefined || this.#reset !== 'none') return
    this.#reset = 'wanted'
    primary.channel.wake?.()
  }

  /** When the next request is late, in the clock's time; Infinity: none. */
  nextDeadlineMs(): number {
    let earliest = Number.POSITIVE_INFINITY
    this.#eachSent((request) => {
      if (!request.isLate && request.submittedMs < earliest) earliest = request.submittedMs
    })
    return earliest + this.#timeoutMs
  }

  /** Reports requests that are late: once each. */
  checkDeadlines(): void {
    const limit = this.#options.clock.nowMs - this.#timeoutMs
    this.#eachSent((request) => {
      if (request.isLate || request.submittedMs > limit) return
      request.isLate = true
      this.#listener.onLate?.(request)
    })
  }

  /** A lane's: a request has ended. HOT. */
  ended(lane: StorLane, request: StorRequest): void {
    if (request.outcome === StorOutcome.CHECK_CONDITION && this.#retries(lane, request)) return
    request.done(request)
  }

  /** A lane's: the host's own packets, and answers to the driver's own. */
  control(lane: StorLane, tidLow: number, at: number, length: number): boolean {
    if (lane !== this.#lanes[0]) return false
    const view = lane.incoming.arenaView
    if (tidLow === 0) return this.#unsolicited(view.getUint32(at, true))
    const status = view.getUint32(at + StorHeader.at.status, true)
    if (tidLow === TID_RESET && this.#reset === 'asked') {
      this.#reset = 'none'
      this.#listener.onReset?.(status === StorStatus.SUCCESS)
      return true
    }
    if (tidLow !== TID_HANDSHAKE || !this.#isAsked) return false
    this.#isAsked = false
    this.#answered(status, view, at, length)
    return true
  }

  /** A lane's: what the handshake is at, or a reset. */
  sendControl(lane: StorLane): boolean {
    if (lane !== this.#lanes[0]) return true
    const operation = OPERATIONS[this.#state]
    if (operation !== undefined && !this.#isAsked) {
      this.#isAsked = this.#send(lane, operation, TID_HANDSHAKE)
      return this.#isAsked
    }
    if (this.#reset !== 'wanted') return true
    if (!this.#send(lane, StorOperation.RESET_BUS, TID_RESET)) return false
    this.#reset = 'asked'
    return true
  }

  /** A lane's: its ring broke. Its requests end when the channel has closed. */
  failed(lane: StorLane): void {
    if (lane !== this.#lanes[0]) return
    const { fault } = lane.incoming
    const name = ringFaultName(fault === 0 ? lane.outgoing.fault : fault)
    this.#fail(`the ring broke: ${name}`)
  }

  #send(lane: StorLane, operation: number, tidLow: number): boolean {
    const { stagingView: view, staging } = lane.outgoing
    staging.fill(0, 0, STOR_PACKET_BYTES)
    view.setUint32(0, operation, true)
    view.setUint32(StorHeader.at.flags, STOR_FLAG_COMPLETION_REQUESTED, true)
    if (this.#state === 'version') view.setUint16(BODY_AT, VERSIONS[this.#version]!, true)
    if (this.#state === 'sub-channels') view.setUint16(BODY_AT, this.#subChannels, true)
    const written = lane.outgoing.write(
      0,
      this.packetBytes,
      PACKET_TYPE_DATA_INBAND,
      PACKET_FLAG_COMPLETION_REQUESTED,
      tidLow,
      TID_HIGH,
    )
    return written === RingStatus.OK
  }

  #answered(status: number, view: DataView, at: number, length: number): void {
    const isOk = status === StorStatus.SUCCESS
    switch (this.#state) {
      case 'begin':
        return this.#go(isOk, 'version')
      case 'version':
        if (isOk) {
          const version = VERSIONS[this.#version]!
          if (version < StorVersion.WIN8) this.packetBytes = STOR_PACKET_BYTES_WIN7
          this.#state = 'properties'
        } else if (this.#version + 1 < VERSIONS.length) {
          this.#version += 1
        } else {
          this.#fail('the host speaks no version of the protocol that this driver speaks')
        }
        return
      case 'properties':
        if (isOk && length >= StorProperties.size) this.#describe(view, at)
        return this.#go(isOk && this.maxTransferBytes > 0, 'end')
      case 'end':
        if (!isOk || this.#subChannels === 0) return this.#go(isOk, 'ready')
        this.#state = 'sub-channels'
        return
      case 'sub-channels':
        return this.#go(true, 'ready')
      case 'closed':
      case 'ready':
      case 'failed':
    }
  }

  #go(isOk: boolean, next: StorVscState): void {
    if (!isOk) return this.#fail(`the host refused ${this.#state}`)
    this.#state = next
    if (next !== 'ready') return
    this.#listener.onReady?.()
    this.rescan()
  }

  #describe(view: DataView, at: number): void {
    const { propertyFlags, maxSubChannels, maxTransferBytes } = StorProperties.decode(view, at)
    const isMulti = (propertyFlags & STOR_PROPERTY_MULTI_CHANNEL) !== 0
    const wanted = this.#options.subChannels ?? 0
    this.#subChannels = isMulti ? Math.min(wanted, maxSubChannels) : 0
    // Whole pages, as Linux takes it.
    this.maxTransferBytes = maxTransferBytes - (maxTransferBytes % 4096)
  }

  #unsolicited(operation: number): boolean {
    const isNews =
      operation === StorOperation.ENUMERATE_BUS || operation === StorOperation.REMOVE_DEVICE
    if (isNews) this.rescan()
    return isNews
  }

  // A unit attention says what has happened; the request itself was not done, and is sent again.
  #retries(lane: StorLane, request: StorRequest): boolean {
    if (senseKey(request) !== SenseKey.UNIT_ATTENTION || lane.isOver) return false
    this.#attentions += 1
    if (saysMediumChanged(request)) this.#scan.mediumChanged(request)
    if (saysUnitsChanged(request)) this.rescan()
    if (request.retries === RETRIES_MAX) return false
    request.retries += 1
    request.outcome = StorOutcome.PENDING
    lane.submit(request)
    return true
  }

  #eachSent(visit: (request: StorRequest) => void): void {
    for (const lane of this.#lanes) {
      for (let tag = 0; tag < lane.depth; tag += 1) {
        const request = lane.sent(tag)
        if (request !== null) visit(request)
      }
    }
  }

  #fail(reason: string): void {
    if (this.#state === 'failed') return
    this.#state = 'failed'
    this.#listener.onFailed?.(reason)
  }

  // The host has let go of the channel's memory, and with the primary's of everything.
  #closed(channel: ClientChannel, reason: CloseReason): void {
    const index = this.#lanes.findIndex((lane) => lane.channel === channel)
    const lane = this.#lanes[index]
    if (lane === undefined) return
    const isPrimary = index === 0
    if (isPrimary) this.#state = 'closed'
    const lanes = isPrimary ? this.#lanes.splice(0) : this.#lanes.splice(index, 1)
    for (const one of lanes) {
      this.#ignoredBefore += one.ignored
      one.giveUp()
    }
    if (!isPrimary) return
    this.#scan.forget()
    this.#listener.onClosed?.(reason)
  }
}
