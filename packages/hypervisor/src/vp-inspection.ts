// What a VP's thread tells about it.

import type { LocalApic } from './apic.ts'
import type { HypercallInspection } from './hypercall-counters.ts'
import type { SyntheticTimers } from './time/synthetic-timers.ts'

/** What `VirtualProcessor.inspect` answers. Plain data. */
export interface VpInspection {
  readonly partitionId: number
  readonly vpIndex: number
  readonly hypercalls: number
  readonly hypercallCounters: HypercallInspection
  readonly messagesPosted: number
  readonly eventsSignalled: number
  /** Calls that had to ring the root. */
  readonly rootWakes: number
  readonly longSpinWaits: number
  readonly messagesDelivered: number
  /** Bit n: SINTn has messages that wait for its slot. */
  readonly messagesWaiting: number
  readonly eventInterrupts: number
  readonly interruptsTaken: number
  /** To siblings and to itself. */
  readonly interruptsSent: number
  /** EOIs that needed no exit. */
  readonly assistedEnds: number
  readonly intercepts: number
  /** Times that cached translations were flushed. */
  readonly flushes: number
  readonly timers: ReturnType<SyntheticTimers['inspect']>
  readonly apic: ReturnType<LocalApic['inspect']>
}
