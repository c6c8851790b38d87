// What a device gives the server, and what it gets: the host family's side of a channel.

import type { Guid } from '@guestyard/hvdef'
import type { DmaDomain, DmaPages } from '@guestyard/guestmem'
import type { RingPairOptions } from '@guestyard/ring'
import type { Channel, ChannelProgram } from '../channel.ts'

/** A device as the server offers it. One object may serve many channels and partitions. */
export interface VspDevice {
  /** How its rings are made: packet types and sizes to accept, room for staging. */
  readonly rings?: RingPairOptions
  /**
   * The guest opens the channel, or one of its sub-channels. Returns the program that runs it, a refusal,
   * or `'pending'` when `channel.completeOpen` will say.
   */
  open(channel: ServerChannel): OpenOutcome
}

/** The guest gets `refused` as the result of its open: any status but zero. */
export interface OpenRefused {
  readonly refused: number
}

export type OpenOutcome = ChannelProgram | OpenRefused | 'pending'

/** The host's end of one opening of a channel. It is over when the program's `close` has returned. */
export interface ServerChannel extends Channel {
  /** 0 for the primary. */
  readonly subChannelIndex: number
  /** Sub-channels that a primary has, those left out whose offer has been taken back. 0 for a sub-channel. */
  readonly subChannelCount: number
  readonly classId: Guid
  readonly instanceId: Guid
  /**
   * The device's way to guest memory, shared by all channels of the device. GPA-direct ranges are mapped in it for as long as
   * their request runs; everything else is a fault.
   */
  readonly domain: DmaDomain
  /** Protocol version that the guest's bus speaks, such as `VmbusVersion.IRON`. */
  readonly busVersion: number
  /** Puts the program on the list of those that are polled: the host has work for it. HOT. */
  wake(): void
  /**
   * Offers up to `count` more sub-channels, primary only. Returns how many: fewer when ids or the limit
   * run out. They are offered at once, except that an index whose old channel the guest has not
   * released yet is offered after its release.
   */
  offerSubChannels(count: number): number
  /**
   * Another GPADL of this channel, for as long as the channel is open or until `release`: its teardown is
   * not acknowledged before. Undefined when the guest has no such complete GPADL.
   */
  gpadl(gpadlId: number): MappedGpadl | undefined
  /** The answer to an open that was `'pending'`. Called once; late answers close the program again. */
  completeOpen(outcome: ChannelProgram | OpenRefused): void
  /** Ends a close that was `'pending'`: the guest's memory is not touched any more. */
  completeClose(): void
  /**
   * The guest broke the channel. Its program is closed, its rings are not served again; the guest may
   * close it and open it anew. `reason` is a RingFault or a device's own text.
   */
  fail(reason: number | string): void
}

/** Guest memory that a GPADL describes. */
export interface MappedGpadl {
  readonly gpadlId: number
  readonly ranges: readonly GpadlRange[]
  /** Ends the use. A second call does nothing. */
  release(): void
}

/**
 * One range: `lengthBytes` bytes from `offsetBytes` into the first of its pages. Once the use has ended, or the guest has lost
 * one of the pages, a touch is a fault and reaches nothing.
 */
export interface GpadlRange {
  readonly offsetBytes: number
  readonly lengthBytes: number
  readonly pages: DmaPages
}

export interface OfferOptions {
  /** Device class. */
  readonly classId: Guid
  /** Which device of the class; (class, instance) is unique among the offers. */
  readonly instanceId: Guid
  /** Offers a pipe: `PipeMode.BYTE` or `PipeMode.MESSAGE`. */
  readonly pipeMode?: number
  /** MMIO space that the device wants, in MB. */
  readonly mmioMegabytes?: number
  /** The user-defined area of the offer, at most 120 bytes; in a pipe offer its first u32 is the mode. */
  readonly userDefined?: Uint8Array
  /** `VmbusOfferFlag` bits besides the pipe flag. Default ENUMERATE_DEVICE_INTERFACE. */
  readonly flags?: number
}

/** An offer in force. */
export interface Offer {
  readonly classId: Guid
  readonly instanceId: Guid
  /** Channel id of the primary, 0 while no guest has been offered it. */
  readonly relid: number
  /** Takes the device away, sub-channels first: programs close, the guest is told. Once. */
  revoke(): void
}
