/** What a VP last said about the grant it was last given. */
export const VpReport = {
  /** Nothing yet, or about an older grant: as far as anybody knows it runs. */
  NONE: 0,
  /** It took the grant. */
  RUNNING: 1,
  /** It gave the processor up and wants it back. */
  READY: 2,
  /** It gave the processor up and has nothing to do. */
  HALTED: 3,
  /** As READY, by its own wish: others go first. */
  YIELDED: 4,
} as const

export type VpReport = (typeof VpReport)[keyof typeof VpReport]

/** The dispatch words of one VP; the hypervisor's part of the VP's page implements it. */
export interface DispatchGrant {
  /** The VP may run guest code on this logical processor. `reports`: it is to say when it halts and when it has work again. */
  grant(lp: number, reports: boolean): void
  /** The VP stops at its next exit. */
  revoke(): void
  /** Read anew at each look. */
  readonly report: VpReport
}
