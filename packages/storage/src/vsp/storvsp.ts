// A SCSI controller as a VMBus server offers it. Each channel runs a program of its own (stor-program.ts); what they share is here:
// the target, who of them is ready, and whom to wake when requests have ended.

import type { Guid } from '@guestyard/hvdef'
import type { RingPairOptions } from '@guestyard/ring'
import type { OfferOptions, OpenOutcome, ServerChannel, VspDevice } from '@guestyard/vmbus/server'
import {
  SCSI_CLASS_ID,
  STOR_MAX_TRANSFER_BYTES,
  STOR_PACKET_BYTES,
  STOR_SUB_CHANNELS_MAX,
} from '../protocol.ts'
import { StorProgram } from './stor-program.ts'
import type { StorChannelInspection, StorController, StorEnd } from './stor-controller.ts'
import type { StorTarget } from './stor-target.ts'

/** Requests of one channel that run at a time at most when the owner does not say; more wait in the ring. */
export const STOR_REQUESTS_PER_CHANNEL = 256
/**
 * Requests of all channels that run at a time when the owner does not say, but 32 a channel at least: what runs is looked through
 * whenever some of it ends, and a guest has as many channels as VPs. Only what a disk does not end at once runs.
 */
const REQUESTS_PER_CONTROLLER = 2048
const REQUESTS_PER_CHANNEL_MIN = 32
/** Result of an open that is refused: STATUS_INVALID_DEVICE_STATE. */
const OPEN_REFUSED = 0xc000_0184
/** What a poll of the target does at most while no program is polled. */
const WAKE_BUDGET = 256

export interface StorVspOptions {
  readonly target: StorTarget
  /** Sub-channels that the guest may ask for, 0..64: as a rule one less than it has VPs. */
  readonly maxSubChannels?: number
  /** Most bytes of one request: a multiple of 4096, at most 8 MiB. */
  readonly maxTransferBytes?: number
  /** Requests that one channel has running at a time, 1 or more: 32 to 256 when left out, by how many sub-channels there may be. */
  readonly requestsPerChannel?: number
}

export interface StorVspInspection {
  readonly channels: readonly StorChannelInspection[]
  /** Channels that are closed for the guest, and whose disks have not let go yet. */
  readonly closing: number
  /** When the target is due, in the time of its disks; Infinity: never. */
  readonly deadlineMs: number
}

/** What the server is asked to offer for a controller. */
export function scsiOffer(instanceId: Guid): OfferOptions {
  return { classId: SCSI_CLASS_ID, instanceId }
}

/** One SCSI controller of one partition. Root's thread only. */
export class StorVsp implements VspDevice {
  /** One packet is composed at a time, and requests are small. */
  readonly rings: RingPairOptions = {
    outgoing: { stagingBytes: 1024, batchBytes: 1024 },
    incoming: { maxPackets: 256 },
  }
  readonly #controller: SharedController

  /** Throws a RangeError for a limit out of its range. */
  constructor(options: StorVspOptions) {
    const controller = new SharedController(options)
    this.#controller = controller
    options.target.watch(() => controller.unitsChanged())
  }

  /** Called by the server, for the primary and each sub-channel. */
  open(channel: ServerChannel): OpenOutcome {
    return this.#controller.open(channel)
  }

  /**
   * Requests may have ended, or be due: programs that have some are polled again, and channels that wait for their disks to let go
   * are closed. To be called when a disk calls the `wake` that it was opened with, and at `nextDeadlineMs`.
   */
  wake(): void {
    this.#controller.wake()
  }

  /** When `wake` is due though no disk calls, in the time of the disks' clock; Infinity: never. */
  nextDeadlineMs(): number {
    return this.#controller.nextDeadlineMs()
  }

  inspect(): StorVspInspection {
    return this.#controller.inspect()
  }
}

class SharedController implements StorController {
  readonly target: StorTarget
  readonly maxTransferBytes: number
  readonly maxSubChannels: number
  readonly requestsPerChannel: number
  primary: StorEnd | null = null
  endings = 0
  readonly #programs: StorEnd[] = []
  readonly #closing: StorEnd[] = []

  constructor(options: StorVspOptions) {
    this.target = options.target
    const { maxTransferBytes = STOR_MAX_TRANSFER_BYTES } = options
    this.maxTransferBytes = inRange('maxTransferBytes', maxTransferBytes, 4096, 8 * 1024 * 1024)
    if (maxTransferBytes % 4096 !== 0) {
      throw new RangeError(`maxTransferBytes must be a multiple of 4096, got ${maxTransferBytes}`)
    }
    const { maxSubChannels = STOR_SUB_CHANNELS_MAX } = options
    this.maxSubChannels = inRange('maxSubChannels', maxSubChannels, 0, 64)
    const share = Math.floor(REQUESTS_PER_CONTROLLER / (1 + maxSubChannels))
    const fallback = Math.min(STOR_REQUESTS_PER_CHANNEL, Math.max(REQUESTS_PER_CHANNEL_MIN, share))
    const { requestsPerChannel = fallback } = options
    this.requestsPerChannel = inRange('requestsPerChannel', requestsPerChannel, 1, 65536)
  }

  get isReady(): boolean {
    return this.primary !== null && this.primary.state === 'ready'
  }

  get packetBytes(): number {
    return this.primary === null ? STOR_PACKET_BYTES : this.primary.packetBytes
  }

  open(channel: ServerChannel): OpenOutcome {
    const isPrimary = channel.subChannelIndex === 0
    if (isPrimary !== (this.primary === null)) return { refused: OPEN_REFUSED }
    const program = new StorProgram(channel, this)
    if (isPrimary) this.primary = program
    this.#programs.push(program)
    return program
  }

  pollTarget(budget: number, poller: StorEnd): number {
    const ended = this.target.poll(budget)
    if (ended > 0) this.requestsEnded(poller)
    return ended
  }

  requestsEnded(poller: StorEnd | null): void {
    this.endings += 1
    this.#wakeOthers(poller)
    if (this.#closing.length > 0) this.#drop()
  }

  closed(program: StorEnd): void {
    this.#programs.splice(this.#programs.indexOf(program), 1)
    if (this.primary === program) this.primary = null
    if (program.runningCount > 0) this.#closing.push(program)
  }

  wake(): void {
    if (this.#closing.length > 0 && this.target.poll(WAKE_BUDGET) > 0) this.requestsEnded(null)
    this.#wakeOthers(null)
  }

  /** A unit that went has given up what ran on it: on whatever channel that was. */
  unitsChanged(): void {
    this.primary?.announceChange()
    this.#wakeOthers(null)
  }

  nextDeadlineMs(): number {
    const isBusy = this.#closing.length > 0 || this.#programs.some((one) => one.runningCount > 0)
    return isBusy ? this.target.nextDeadlineMs() : Number.POSITIVE_INFINITY
  }

  inspect(): StorVspInspection {
    return {
      channels: this.#programs.map((program) => program.inspect()),
      closing: this.#closing.length,
      deadlineMs: this.nextDeadlineMs(),
    }
  }

  #wakeOthers(poller: StorEnd | null): void {
    for (let index = 0; index < this.#programs.length; index += 1) {
      const program = this.#programs[index]!
      if (program !== poller && program.runningCount > 0) program.channel.wake()
    }
  }

  #drop(): void {
    for (let index = this.#closing.length - 1; index >= 0; index -= 1) {
      const program = this.#closing[index]!
      if (!program.drop()) continue
      this.#closing.splice(index, 1)
      program.channel.completeClose()
    }
  }
}

function inRange(name: string, value: number, least: number, most: number): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value
  throw new RangeError(`${name} must be a whole number from ${least} to ${most}, got ${value}`)
}
