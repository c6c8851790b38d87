// The load device as a VMBus server offers it. The device itself has no state: each channel runs a program of
// its own, and the hub joins those that relay.

import type { OfferOptions, OpenOutcome, ServerChannel, VspDevice } from '@guestyard/vmbus/server'
import { LOAD_CLASS_ID, LOAD_INSTANCE_ID } from '../protocol.ts'
import { LoadProgram } from './load-program.ts'
import type { LoadProgramInspection } from './load-program.ts'
import type { RelayHub } from './relay-hub.ts'

/** What the server is asked to offer for a load device. */
export const loadOffer: OfferOptions = {
  classId: LOAD_CLASS_ID,
  instanceId: LOAD_INSTANCE_ID,
}

export interface LoadInspection {
  /** Channels open now, sub-channels included. */
  readonly channels: readonly LoadProgramInspection[]
  /** Channels opened so far. */
  readonly opened: number
}

export interface LoadVspOptions {
  /** Joins this partition's relay streams with those of the other partitions that share it. */
  readonly hub: RelayHub
  /** The partition in the hub's accounts and rule: any number that is its alone, such as its id. */
  readonly partitionKey: number
}

/** The load device of one partition. Root thread only. */
export class LoadVsp implements VspDevice {
  readonly #options: LoadVspOptions
  readonly #programs = new Set<LoadProgram>()
  #opened = 0

  constructor(options: LoadVspOptions) {
    this.#options = options
  }

  /** Called by the server, for the primary and each sub-channel. */
  open(channel: ServerChannel): OpenOutcome {
    const program = new LoadProgram(channel, {
      ...this.#options,
      onClosed: () => this.#programs.delete(program),
    })
    this.#programs.add(program)
    this.#opened += 1
    return program
  }

  inspect(): LoadInspection {
    return {
      channels: [...this.#programs].map((program) => program.inspect()),
      opened: this.#opened,
    }
  }
}
