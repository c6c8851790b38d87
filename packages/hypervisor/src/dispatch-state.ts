// HOT
// Who may run guest code, between the root's scheduler and a VP: both ends of the dispatch words of the VP page.
//
//   | word      | written by | what                                                                                   |
//   | --------- | ---------- | -------------------------------------------------------------------------------------- |
//   | GRANT     | root       | bits 7:0 logical processor + 1, or 0: none; 31:8 number of the grant                    |
//   | REPORTS   | root       | 1: the VP says when it gives its processor up. 0: it keeps it, and a halt costs nothing |
//   | RUN_STATE | VP         | bits 2:0 a VpReport; 31:8 number of the grant it is about                               |
//
// A grant is over when RUN_STATE names it with READY, HALTED or YIELDED; until then its processor is taken, whatever GRANT says. Revoking
// clears the processor and leaves the number, so a VP that halts while it is being revoked has answered both with one word.
//
//            root: grant n ──▶ VP: RUNNING n ──exit, grant n was revoked──▶ READY n ───┐
//                                     ├──nothing to do──▶ HALTED n ──work──▶ READY n ──┼──▶ root: grant n + 1
//                                     └──a long spin wait──▶ YIELDED n ────────────────┘

import type { Wake } from './wake.ts'
import { announce } from './synic/event-flags.ts'
import { GRANT, OUTBOX_DISPATCH, REPORTS, RUN_STATE } from './vp-page.ts'

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

const NUMBER_SHIFT = 8
const NUMBER_MASK = 0xff_ffff
const LP_MASK = 0xff
const STATE_MASK = 0x7

/** The root's end. */
export class RootDispatch {
  readonly #page: Int32Array
  readonly #wake: Wake
  #number = 0

  /** `wake`: the VP's doorbell. */
  constructor(page: Int32Array, wake: Wake) {
    this.#page = page
    this.#wake = wake
  }

  /** The VP may run guest code on this logical processor (0 to 63), from its next look on. The grant before is over. */
  grant(lp: number, reports: boolean): void {
    this.#number = (this.#number + 1) & NUMBER_MASK
    // ORDER: REPORTS before GRANT: whoever sees the grant knows what it asks of him.
    Atomics.store(this.#page, REPORTS, reports ? 1 : 0)
    Atomics.store(this.#page, GRANT, (this.#number << NUMBER_SHIFT) | (lp + 1))
    this.#wake.ring()
  }

  /** The VP stops at its next exit from guest code. */
  revoke(): void {
    Atomics.store(this.#page, GRANT, this.#number << NUMBER_SHIFT)
    this.#wake.ring()
  }

  /** What the VP says about the present grant. Nonsense is NONE. */
  get report(): VpReport {
    const word = Atomics.load(this.#page, RUN_STATE)
    const state = word & STATE_MASK
    if (word >>> NUMBER_SHIFT !== this.#number || state > VpReport.YIELDED) return VpReport.NONE
    return state as VpReport
  }
}

/** The VP's end. Its thread only. */
export class VpDispatch {
  readonly #page: Int32Array
  readonly #wakeRoot: Wake
  /** GRANT as it was last seen. */
  #seen = 0
  #number = 0
  #lp = -1
  #said: VpReport = VpReport.NONE
  /** 100 ns with a processor, and since when it has the present one; -1: it has none. */
  #runtime = 0
  #ran = -1

  constructor(page: Int32Array, wakeRoot: Wake) {
    this.#page = page
    this.#wakeRoot = wakeRoot
  }

  /** An exit from guest code: the processor it may go on on, or -1. One load while nothing changes. */
  exit(): number {
    const word = Atomics.load(this.#page, GRANT)
    if (word !== this.#seen) this.#take(word)
    return this.#lp
  }

  /** Counts the time since the latest call as run, if the VP has had a processor since. At every exit. HOT. */
  account(now100ns: number): void {
    if (this.#ran >= 0) this.#runtime += now100ns - this.#ran
    this.#ran = this.#lp < 0 ? -1 : now100ns
  }

  /** 100 ns that the VP has had a processor, up to now: its own account, for its guest. The scheduler keeps one of its own. */
  runtimeAt(now100ns: number): number {
    return this.#ran < 0 ? this.#runtime : this.#runtime + Math.max(0, now100ns - this.#ran)
  }

  /** It gave its processor up for want of work, and said so. */
  get isHalted(): boolean {
    return this.#said === VpReport.HALTED
  }

  /** Gives the processor up. Does nothing when it has none, or when the root does not want to know. */
  giveUp(why: typeof VpReport.HALTED | typeof VpReport.YIELDED): void {
    if (this.exit() < 0 || Atomics.load(this.#page, REPORTS) === 0) return
    this.#lp = -1
    this.#say(why)
  }

  /** There is work again. Said once. */
  announceReady(): void {
    if (this.#said === VpReport.HALTED) this.#say(VpReport.READY)
  }

  #take(word: number): void {
    this.#seen = word
    const lp = (word & LP_MASK) - 1
    const number = word >>> NUMBER_SHIFT
    if (lp >= 0) {
      this.#number = number
      this.#lp = lp
      this.#said = VpReport.RUNNING
      Atomics.store(this.#page, RUN_STATE, (number << NUMBER_SHIFT) | VpReport.RUNNING)
      return
    }
    // A grant that came and went between two looks was never used, but has to be answered all the same.
    const isUnanswered = this.#lp >= 0 || number !== this.#number
    this.#number = number
    this.#lp = -1
    if (isUnanswered) this.#say(VpReport.READY)
  }

  #say(report: VpReport): void {
    this.#said = report
    // ORDER: the state, then the bit that announces it. The root takes the bit first: a state that it misses there is announced anew.
    Atomics.store(this.#page, RUN_STATE, (this.#number << NUMBER_SHIFT) | report)
    if (announce(this.#page, OUTBOX_DISPATCH)) this.#wakeRoot.ring()
  }
}
