import type { VpReport } from '@guestyard/hypervisor'

/** The dispatch words of one VP; the hypervisor's part of the VP's page implements it. */
export interface DispatchGrant {
  /** The VP may run guest code on this logical processor. `reports`: it is to say when it halts and when it has work again. */
  grant(lp: number, reports: boolean): void
  /** The VP stops at its next exit. `isLast`: it is deleted, and nothing it says is heard any more. */
  revoke(isLast?: boolean): void
  /** Read anew at each look. */
  readonly report: VpReport
}
