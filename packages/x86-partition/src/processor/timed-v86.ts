// v86 with the time of its own devices in our hands: its timers ask a static function of an inner class, to which only an instance leads.

import { V86 } from 'v86'

import { V86Mismatch } from './adapt.ts'

type NowMs = () => number
type Options = ConstructorParameters<typeof V86>[0]

/** What the devices of the processor that runs are told. One for a thread, on which one processor runs at a time. */
let deviceNowMs: NowMs = () => 0

/** From now on this thread's processors' devices live by `nowMs`. */
export function setDeviceTime(nowMs: NowMs): void {
  deviceNowMs = nowMs
}

export class TimedV86 extends V86 {
  readonly #nowMs: NowMs
  readonly #onMismatch: (mismatch: V86Mismatch) => void
  #inner: object | null = null

  constructor(options: Options, nowMs: NowMs, onMismatch: (mismatch: V86Mismatch) => void) {
    super(options)
    this.#nowMs = nowMs
    this.#onMismatch = onMismatch
  }

  get v86(): object | null {
    return this.#inner
  }

  /** Set by the package once its module is there, and before it makes any device. */
  set v86(inner: object) {
    this.#inner = inner
    const owner = inner.constructor as { microtick?: unknown }
    if (typeof owner.microtick !== 'function') {
      this.#onMismatch(new V86Mismatch('its devices ask somebody else for the time'))
      return
    }
    setDeviceTime(this.#nowMs)
    owner.microtick = (): number => deviceNowMs()
  }
}
