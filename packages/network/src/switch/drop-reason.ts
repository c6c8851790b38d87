// Why a frame went no further. Each port counts each reason.

export const DropReason = {
  /** It did: nothing was dropped. */
  NONE: 0,
  TOO_SHORT: 1,
  TOO_LONG: 2,
  /** Its source is a group address. */
  GROUP_SOURCE: 3,
  /** Its source is not the port's address, or is one that another port owns. */
  SPOOFED_SOURCE: 4,
  /** A tag where none may be, or of a VLAN that the port is not in. */
  VLAN: 5,
  DHCP_GUARD: 6,
  ROUTER_GUARD: 7,
  /** A port with guards sent what cannot be judged: a header cut off, a fragment too small. */
  UNREADABLE: 8,
  /** Its destination is on the port it came from. */
  OWN_PORT: 9,
  /** Nobody was there to take it. */
  NO_RECEIVER: 10,
  /** The port is unplugged, or the receiver's. */
  LINK_DOWN: 11,
  /** The receiver's driver has not asked for such frames. */
  FILTERED: 12,
  /** The receiver has no buffer free, or no room to be told. */
  NO_BUFFER: 13,
  /** Larger than the receiver takes. */
  MTU: 14,
  /** The receiver's buffer is not its memory any more. */
  FAULT: 15,
} as const
export type DropReason = (typeof DropReason)[keyof typeof DropReason]

export const DROP_REASONS: readonly (keyof typeof DropReason)[] = Object.keys(
  DropReason,
) as (keyof typeof DropReason)[]
