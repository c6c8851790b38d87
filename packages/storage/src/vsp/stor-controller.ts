// What the programs of one controller have of each other, and what they tell.

import type { ServerChannel } from '@guestyard/vmbus/server'
import type { StorStateName } from './handshake.ts'
import type { StorTarget } from './stor-target.ts'

/** A channel's program, as its controller sees it. */
export interface StorEnd {
  readonly channel: ServerChannel
  readonly state: StorStateName
  /** Bytes of a packet in the version that it negotiated. */
  readonly packetBytes: number
  /** Requests that run. */
  readonly runningCount: number
  /** The guest is to look for units again. */
  announceChange(): void
  /** After `close`: lets go of requests that have ended. True when none is left. */
  drop(): boolean
  inspect(): StorChannelInspection
}

/** What the programs of one controller share. */
export interface StorController {
  readonly target: StorTarget
  readonly maxTransferBytes: number
  readonly maxSubChannels: number
  /** Requests that one channel may have running. */
  readonly requestsPerChannel: number
  /** The primary's handshake is over: sub-channels may be used. */
  readonly isReady: boolean
  /** Bytes of a packet in the version that the primary negotiated. */
  readonly packetBytes: number
  /** Counts up whenever requests may have ended: programs look at theirs when it has. */
  readonly endings: number
  /** Polls the target; the other programs are woken when requests ended. How many did. */
  pollTarget(budget: number, poller: StorEnd): number
  /** Requests of every channel may have ended by what this program asked of the target. */
  requestsEnded(poller: StorEnd): void
  /** The program has stopped; those of its requests that run are waited for. */
  closed(program: StorEnd): void
}

/** What `inspect` says of a channel. */
export interface StorChannelInspection {
  readonly subChannelIndex: number
  readonly state: StorStateName
  /** Version in force, 0 before and on sub-channels. */
  readonly version: number
  /** Requests that run now. */
  readonly running: number
  /** Requests answered, and those among them that were no good. */
  readonly requests: number
  readonly refused: number
}
