// HOT
// A VP and its partition, as the scheduler keeps them: plain objects of one shape, whose fields the policies and the dispatcher
// share. Times are 100 ns units.

import { CPU_FRACTION_ONE } from '@guestyard/hvdef'

import type { CpuProperties } from './cpu-properties.ts'
import type { DispatchGrant } from './dispatch-grant.ts'

/**
 *   halted ──has work──▶ ready ──grant──▶ running ──halts──▶ halted
 *                          ▲                │ │
 *                          └──yields, stops─┘ └─cap used up──▶ throttled ──next period──▶ ready
 */
export type VpState = 'halted' | 'ready' | 'running' | 'throttled'

/** The share of one partition: its properties as fractions, and what the policy derives from them. */
export class PartitionShare {
  readonly partitionId: number
  readonly vps: ScheduledVp[] = []
  weight = 0
  /** Fractions of one logical processor. */
  cap = 1
  reserve = 0
  /** VPs that have work: all but the halted. */
  members = 0
  /** Index among the shares with members, or -1. */
  activeIndex = -1
  /** The weight by which each of its VPs' time counts: `weight`, unless cap or reserve or a whole processor bound it. */
  effectiveWeight = 0
  /** Private to the computation of rates. */
  rate = 0
  isFixed = false

  constructor(partitionId: number, properties: CpuProperties) {
    this.partitionId = partitionId
    this.setProperties(properties)
    this.effectiveWeight = this.weight
  }

  setProperties(properties: CpuProperties): void {
    this.weight = properties.weight
    this.cap = properties.cap / CPU_FRACTION_ONE
    this.reserve = properties.reserve / CPU_FRACTION_ONE
  }

  get isCapped(): boolean {
    return this.cap < 1
  }
}

/** Root thread only. */
export class ScheduledVp {
  readonly share: PartitionShare
  readonly vpIndex: number
  readonly grant: DispatchGrant
  state: VpState = 'halted'
  /** The logical processor it runs on, or the one it ran on last; -1 before the first. */
  lp = -1
  /** How long it kept the processor that it gave up last, as it was counted. */
  lastRun = 0

  /** Time it has had, divided by its effective weight. */
  virtualTime = 0
  /** The virtual time by which the slice it waits for is due. */
  deadline = 0
  /** While it is halted: what it was owed when it left (negative: what it owes), and the queue's virtual time then. */
  lag = 0
  leftAt = 0
  /** Its place in a heap, and which heap that is. */
  heap = 0
  heapIndex = -1
  /** What is left of its cap in this period; negative when it overran. */
  budget = 0
  /** When it may end another's slice at the earliest, for work that it wakes for. */
  preemptsFrom = 0
  /** Its last slice ended by its own wish: others go first. */
  hasYielded = false

  readySince = 0
  runTime = 0
  waitTime = 0
  dispatches = 0
  preemptions = 0
  yields = 0
  halts = 0
  throttles = 0
  overdue = 0

  constructor(share: PartitionShare, vpIndex: number, grant: DispatchGrant) {
    this.share = share
    this.vpIndex = vpIndex
    this.grant = grant
  }

  get isMember(): boolean {
    return this.state !== 'halted'
  }
}
