// Network adapters as a guest program sees them: raw Ethernet. Types only.

/** An adapter that is up. */
export interface GuestNic {
  /** `eth0`, in the order in which adapters were offered. */
  readonly name: string
  /** Its Ethernet address, such as `00:15:5d:00:01:00`. */
  readonly address: string
  readonly isLinkUp: boolean
  /** Largest frame that `send` takes: addresses, type and payload. */
  readonly maxFrameBytes: number
  /**
   * Sends a frame: destination, source, type, payload; no checksum behind. False when there is no room now, the link is down or the adapter
   * gone: nothing was sent, as on any network.
   */
  send(frame: Uint8Array): boolean
  /** Frames that come, one after another, each the program's own. Those beyond what is buffered while nobody reads are dropped, and counted. */
  readonly frames: AsyncIterable<Uint8Array>
  /** Frames that were dropped because the program did not read. */
  readonly dropped: number
}

export interface GuestNics {
  /** Adapters that are up. */
  readonly list: readonly GuestNic[]
  /** The adapter of this number or name, once it is up. Rejects when the bus goes before. */
  get(which: number | string): Promise<GuestNic>
}
