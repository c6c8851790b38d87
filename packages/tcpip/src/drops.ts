// Why a frame went no further. Nothing that arrives is ever an exception.

export const DropReason = {
  /** Shorter than its headers say, or than they are. */
  TRUNCATED: 0,
  /** For another station. */
  NOT_FOR_US: 1,
  /** Neither IPv4 nor ARP, or a protocol above that nobody speaks here. */
  UNKNOWN_PROTOCOL: 2,
  BAD_CHECKSUM: 3,
  /** A header whose fields contradict each other. */
  MALFORMED: 4,
  /** Part of a larger datagram: nothing is put together here. */
  FRAGMENT: 5,
  /** No socket has the port. */
  NO_SOCKET: 6,
  /** As many connections as there may be, or as many that wait to be accepted. */
  NO_ROOM: 7,
  /** Outside the window, too old, or an acknowledgement of what was never sent. */
  UNACCEPTABLE: 8,
  /** The next hop doesn't answer. */
  NO_NEIGHBOUR: 9,
  /** The link had no room. */
  LINK_FULL: 10,
} as const
export type DropReason = (typeof DropReason)[keyof typeof DropReason]

/** How often each reason was met. */
export class Drops {
  readonly #counts = new Float64Array(Object.keys(DropReason).length)

  count(reason: DropReason): void {
    this.#counts[reason]! += 1
  }

  /** By name, those that were met. */
  inspect(): Readonly<Record<string, number>> {
    const met = Object.entries(DropReason).filter(([, reason]) => this.#counts[reason]! > 0)
    return Object.fromEntries(met.map(([name, reason]) => [name, this.#counts[reason]!]))
  }
}
