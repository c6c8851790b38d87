// The hypervisor's scheduler, which the root partition owns: which VP may run guest code, and where. A VP runs only while
// it holds a grant: a word in its page that its thread looks at on every way into the guest.

import { assert } from '@guestyard/hvdef'

import type { SchedulableVp, SchedulerPolicy } from './policy.ts'

/** The grant word of one VP; the hypervisor's part of the VP's page implements it. */
export interface DispatchGrant {
  /** The VP may run guest code on this logical processor. */
  grant(lp: number): void
  /** The VP stops at its next exit. */
  revoke(): void
}

interface Scheduled {
  readonly vp: SchedulableVp
  readonly grant: DispatchGrant
  readonly lp: number
  readonly dispatches: number
}

/** Plain data for `inspect()`. */
export interface SchedulerInspection {
  readonly policy: string
  readonly logicalProcessors: number
  readonly vps: readonly {
    readonly partitionId: number
    readonly vpIndex: number
    readonly weight: number
    readonly logicalProcessor: number
    readonly dispatches: number
  }[]
}

/** Root thread only. */
export class Scheduler {
  readonly #policy: SchedulerPolicy
  readonly #logicalProcessors: number
  readonly #vps: Map<string, Scheduled>

  constructor(policy: SchedulerPolicy, logicalProcessors: number) {
    assert(logicalProcessors >= 1, 'A machine has at least one logical processor.')
    this.#policy = policy
    this.#logicalProcessors = logicalProcessors
    this.#vps = new Map()
  }

  /** Takes a new VP in and dispatches it as the policy says. */
  add(vp: SchedulableVp, grant: DispatchGrant): void {
    const key = keyOf(vp)
    assert(!this.#vps.has(key), 'A VP is scheduled once.')
    const lp = this.#policy.place(vp)
    assert(lp >= 0 && lp < this.#logicalProcessors, 'A policy names a logical processor there is.')
    this.#vps.set(key, { vp, grant, lp, dispatches: 1 })
    grant.grant(lp)
  }

  /** Forgets a VP; its grant is revoked first. Unknown VPs are ignored. */
  remove(partitionId: number, vpIndex: number): void {
    const key = keyOf({ partitionId, vpIndex })
    const scheduled = this.#vps.get(key)
    if (scheduled === undefined) return
    this.#vps.delete(key)
    scheduled.grant.revoke()
    this.#policy.remove(scheduled.vp, scheduled.lp)
  }

  inspect(): SchedulerInspection {
    return {
      policy: this.#policy.name,
      logicalProcessors: this.#logicalProcessors,
      vps: [...this.#vps.values()].map(({ vp, lp, dispatches }) => ({
        partitionId: vp.partitionId,
        vpIndex: vp.vpIndex,
        weight: vp.weight,
        logicalProcessor: lp,
        dispatches,
      })),
    }
  }
}

function keyOf(vp: { readonly partitionId: number; readonly vpIndex: number }): string {
  return `${vp.partitionId}.${vp.vpIndex}`
}
