// One initiator's way to one unit (an I_T_L nexus, SAM-5): what the unit has to tell it, and how much it has under way. A unit that is
// attached to several targets has a nexus for each.

/** What a unit tells an initiator before it serves the next command, one bit each. The lowest goes first. */
export const Attention = {
  BUS_RESET: 1 << 0,
  DEVICE_RESET: 1 << 1,
  MEDIUM_CHANGED: 1 << 2,
  CAPACITY_CHANGED: 1 << 3,
  MODE_PARAMETERS_CHANGED: 1 << 4,
  RESERVATIONS_PREEMPTED: 1 << 5,
  RESERVATIONS_RELEASED: 1 << 6,
  REGISTRATIONS_PREEMPTED: 1 << 7,
  LUNS_CHANGED: 1 << 8,
} as const
export type Attention = (typeof Attention)[keyof typeof Attention]

export class Nexus {
  /** Who sends the commands: what reservations go by. */
  readonly initiator: number
  /** A command has come this way: whoever never sent one needs no attention. */
  used = false
  /** `Attention` bits. */
  attentions = 0
  /** Commands under way. */
  inFlight = 0
  /** Commands that were under way and have ended since the target last counted. */
  ended = 0

  constructor(initiator: number) {
    this.initiator = initiator
  }

  /** To be told with the next command that isn't exempt. Nothing is told to an initiator that never asked for anything. */
  raise(attention: Attention): void {
    if (this.used) this.attentions |= attention
  }

  /** The attention that goes first, which is then told. There must be one. */
  take(): number {
    const first = this.attentions & -this.attentions
    this.attentions ^= first
    return first
  }
}
