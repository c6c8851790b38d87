// The synthetic mouse's host end: the host pushes absolute positions, buttons and wheel steps.

import { PipeMode } from '@guestyard/hvdef'
import type { OfferOptions, OpenOutcome, ServerChannel, VspDevice } from '@guestyard/vmbus/server'
import {
  INPUT_QUEUE_LIMIT,
  MOUSE_BUTTONS_MASK,
  MOUSE_CLASS_ID,
  MOUSE_INSTANCE_ID,
  MOUSE_POSITION_MAX,
  MOUSE_WHEEL_MAX,
  OPEN_REFUSED,
} from '../protocol.ts'
import { EventQueue } from './event-queue.ts'
import { MouseProgram } from './mouse-program.ts'
import type { MouseStateName } from './mouse-program.ts'

/** What the server is asked to offer for a mouse. */
export const mouseOffer: OfferOptions = {
  classId: MOUSE_CLASS_ID,
  instanceId: MOUSE_INSTANCE_ID,
  pipeMode: PipeMode.MESSAGE,
}

export interface MouseInspection {
  readonly state: MouseStateName | 'closed'
  /** Reports that wait for room in the guest's ring. */
  readonly queued: number
  /** Reports written to the guest's ring. */
  readonly sent: number
  /** Reports refused or forgotten: nobody listened, too many waited, or they made no sense. */
  readonly dropped: number
}

/** The mouse of one partition. Root thread only. */
export class MouseVsp implements VspDevice {
  readonly #queue: EventQueue
  #program: MouseProgram | undefined
  #sentBefore = 0

  /** `queueLimit`: reports held for a guest that does not read them, 1 or more. */
  constructor(options: { readonly queueLimit?: number } = {}) {
    this.#queue = new EventQueue(options.queueLimit ?? INPUT_QUEUE_LIMIT)
  }

  /** Called by the server. One opening at a time; a sub-channel is refused. */
  open(channel: ServerChannel): OpenOutcome {
    if (this.#program !== undefined || channel.subChannelIndex !== 0) {
      return { refused: OPEN_REFUSED }
    }
    const program = new MouseProgram(channel, this.#queue, () => this.#onClosed())
    this.#program = program
    return program
  }

  /**
   * A report: where the pointer is (`x`, `y` 0..32767 over the whole screen), which buttons are down
   * (`MouseButton` bits) and how far the wheel turned since the last report (-32767..32767). It is written at once
   * when there is room. False when it was dropped: no guest has the mouse active, too many wait, or the
   * values are out of range.
   */
  moveTo(x: number, y: number, buttons: number, wheel: number): boolean {
    const program = this.#program
    const sensible =
      isWithin(x, 0, MOUSE_POSITION_MAX) &&
      isWithin(y, 0, MOUSE_POSITION_MAX) &&
      isWithin(buttons, 0, MOUSE_BUTTONS_MASK) &&
      isWithin(wheel, -MOUSE_WHEEL_MAX, MOUSE_WHEEL_MAX)
    if (program?.state !== 'active' || !sensible) {
      this.#queue.drop()
      return false
    }
    if (!this.#queue.push(buttons, x, y, wheel)) return false
    program.sendEvents()
    return true
  }

  inspect(): MouseInspection {
    return {
      state: this.#program?.state ?? 'closed',
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

function isWithin(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most
}
