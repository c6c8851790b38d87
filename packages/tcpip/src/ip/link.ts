// Where frames go to and come from.

/** Ethernet as a stack sees it: a driver, one end of a test's wire. Used by the stack's thread only. */
export interface Link {
  /** Six bytes. */
  readonly address: Uint8Array
  /** Bytes of an IP packet that a frame can carry, 576 to 65535. */
  readonly mtu: number
  /**
   * Takes a frame of that many bytes, without the frame check sequence. The array is the stack's own and is written again at once: what is kept
   * is copied. False: no room, the frame was not taken.
   */
  transmit(frame: Uint8Array, bytes: number): boolean
}

export const ETHERNET_BYTES = 14
export const IPV4_BYTES = 20
/** Where the payload of a packet begins that the stack composes: it sends no IPv4 options. */
export const PAYLOAD_AT: number = ETHERNET_BYTES + IPV4_BYTES

export const EtherType = { IPV4: 0x0800, ARP: 0x0806 } as const
export const IpProtocol = { ICMP: 1, TCP: 6, UDP: 17 } as const
