// The synthetic keyboard's host end: the host pushes keystrokes, the guest sets the lamps.

import type { OfferOptions, OpenOutcome, ServerChannel, VspDevice } from '@guestyard/vmbus/server'
import {
  INPUT_QUEUE_LIMIT,
  KEYBOARD_CLASS_ID,
  KEYBOARD_INSTANCE_ID,
  KEY_FLAGS_MASK,
  KeyFlags,
  OPEN_REFUSED,
} from '../protocol.ts'
import { EventQueue } from './event-queue.ts'
import { KeyboardProgram } from './keyboard-program.ts'
import type { KeyboardStateName } from './keyboard-program.ts'

/** What the server is asked to offer for a keyboard. */
export const keyboardOffer: OfferOptions = {
  classId: KEYBOARD_CLASS_ID,
  instanceId: KEYBOARD_INSTANCE_ID,
}

export interface KeyboardInspection {
  readonly state: KeyboardStateName | 'closed'
  /** Lamps as the guest last set them, `KeyboardLed` bits. */
  readonly leds: number
  /** Keystrokes that wait for room in the guest's ring. */
  readonly queued: number
  /** Keystrokes written to the guest's ring. */
  readonly sent: number
  /** Keystrokes refused or forgotten: nobody listened, too many waited, or they made no sense. */
  readonly dropped: number
}

const MAKE_CODE_MAX = 0x7f
const UNICODE_MAX = 0xffff

/** The keyboard of one partition. Root thread only. */
export class KeyboardVsp implements VspDevice {
  readonly #queue: EventQueue
  #program: KeyboardProgram | undefined
  #sentBefore = 0

  /** `queueLimit`: keystrokes held for a guest that does not read them, 1 or more. */
  constructor(options: { readonly queueLimit?: number } = {}) {
    this.#queue = new EventQueue(options.queueLimit ?? INPUT_QUEUE_LIMIT)
  }

  /** Lamps as the guest last set them, `KeyboardLed` bits; 0 while the channel is closed. */
  get leds(): number {
    return this.#program?.leds ?? 0
  }

  /** Called by the server. One opening at a time; a sub-channel is refused. */
  open(channel: ServerChannel): OpenOutcome {
    if (this.#program !== undefined || channel.subChannelIndex !== 0) {
      return { refused: OPEN_REFUSED }
    }
    const program = new KeyboardProgram(channel, this.#queue, () => this.#onClosed())
    this.#program = program
    return program
  }

  /**
   * A keystroke: a set-1 make code 0..0x7f without bit 7, or a UTF-16 unit with `KeyFlags.UNICODE`; `flags`
   * are `KeyFlags`. It is written at once when there is room. False when it was dropped: no guest has the
   * keyboard active, too many wait, or the values are out of range.
   */
  pressKey(makeCode: number, flags: number): boolean {
    const program = this.#program
    const most = (flags & KeyFlags.UNICODE) === 0 ? MAKE_CODE_MAX : UNICODE_MAX
    const sensible =
      Number.isInteger(makeCode) && makeCode >= 0 && makeCode <= most && isKeyFlags(flags)
    if (program?.state !== 'active' || !sensible) {
      this.#queue.drop()
      return false
    }
    if (!this.#queue.push(makeCode, flags, 0, 0)) return false
    program.sendEvents()
    return true
  }

  inspect(): KeyboardInspection {
    return {
      state: this.#program?.state ?? 'closed',
      leds: this.leds,
      queued: this.#queue.length,
      sent: this.#sentBefore + (this.#program?.sent ?? 0),
      dropped: this.#queue.dropped,
    }
  }

  #onClosed(): void {
    this.#sentBefore += this.#program?.sent ?? 0
    this.#program = undefined
    this.#queue.clear()
  }
}

function isKeyFlags(flags: number): boolean {
  return Number.isInteger(flags) && (flags & ~KEY_FLAGS_MASK) === 0
}
