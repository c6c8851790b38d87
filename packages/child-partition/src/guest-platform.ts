// What a script guest needs of whoever runs it: its processor's engine, its clocks, its meters. The threads engine and the virtual
// one each have one of these; the guest's runtime, its drivers and its programs are the same in both.

import type { Clock, Machine } from '@guestyard/engine'
import type { PortLogger } from '@guestyard/engine/node'
import type { GuestMemory } from '@guestyard/guestmem'
import type { VirtualProcessor, VpHandles, Wake } from '@guestyard/hypervisor'
import type { LoadSpec } from '@guestyard/load-device/protocol'
import type { Trace } from '@guestyard/trace'

import type { GuestProgram } from './api/guest.ts'
import type { Processor } from './kernel/compute-queue.ts'

/** What one guest is made of. */
export interface GuestSetup {
  readonly name: string
  readonly partitionId: number
  readonly memory: GuestMemory
  readonly handles: VpHandles
  /** URL of the program's module, or null. */
  readonly program: string | null
  readonly args: unknown
  readonly placement: 'contiguous' | 'scattered'
}

/** Time and costs as the guest's meters show them. */
export interface GuestMeters {
  /** Nanoseconds that never go back, from any origin. */
  nowNs(): number
  /** Milliseconds since the guest was asked for. */
  sinceStartMs(): number
  /** Processor time that the guest used; null where it can't be told. */
  cpu(): { readonly user: number; readonly system: number } | null
  /** Bytes of heap in use; null where it means nothing. */
  heapUsed(): number | null
}

/** A load run as whoever waits for it sees it. */
export interface WaitedRun {
  isDone(): boolean
  tick(): void
  /** Called by the run, from within a poll or a tick, when `isDone` may have changed. */
  changed: () => void
}

/** A guest's kernel, as its engine sees it. */
export interface GuestKernel extends Machine {
  readonly vp: VirtualProcessor
  /** The guest has work that no doorbell announces: a halted VP is to ask for a processor. */
  nudge(): void
}

/** Drives the guest's kernel. */
export interface GuestEngine {
  /** Begins to poll. */
  start(): void
  /** There is work that no doorbell announces. */
  wake(): void
  /** Resolves when `run.isDone()` holds, having waited as the spec says. Calls `run.tick()` about once a second meanwhile. */
  until(spec: LoadSpec, run: WaitedRun): Promise<void>
  /** Plain data for `inspect`. */
  inspect(): unknown
}

export interface GuestPlatform {
  readonly log: PortLogger
  /** Counts from the root's start. */
  readonly clock: Clock
  readonly wakeRoot: Wake
  /** Doorbells of the partition's VPs, in their order; none where nobody interrupts a sibling. */
  readonly wakeVps?: readonly Wake[]
  readonly meters: GuestMeters
  readonly trace: Trace | null
  /**
   * True where whoever calls the runtime does so without a look at the VP's grant: what it begins of a program then waits for a turn. Left
   * out: false.
   */
  readonly callsAnyTime?: boolean
  /** What programs compute with; without one, computing takes no time. */
  readonly processor?: Processor
  /** Called once, by the runtime's constructor. */
  createEngine(kernel: GuestKernel): GuestEngine
  loadProgram(url: string): Promise<GuestProgram>
}
