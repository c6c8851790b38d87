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
  /** Frames without copies and promises, for loops that must not allocate. */
  readonly queue: FrameQueue
}

/**
 * Frames straight from and to the driver, where they lie in the guest's RAM. Nothing here allocates. The words of RAM are `words`, its bytes
 * `bytes`; addresses count bytes.
 */
export interface FrameQueue {
  readonly bytes: Uint8Array
  readonly words: Int32Array
  /**
   * Where the next frame may be composed: `maxFrameBytes` of room, from a multiple of 4 on. -1: there is none now, and `space` of the
   * receiver follows.
   */
  place(): number
  /** Sends the frame that was composed at the last `place`. False: the adapter is gone, or the frame too long. */
  submit(lengthBytes: number): boolean
  /** Hands what was submitted to the host now. After submitting anywhere but in a receiver's calls, whose poll does it by itself. */
  publish(): void
  /** Takes what comes, in the place of `frames`; null: `frames` again. */
  receive(receiver: FrameReceiver | null): void
}

/** Called in the kernel's poll; may send. */
export interface FrameReceiver {
  /** A frame lies at `gpa`, for the time of the call. */
  frame(gpa: number, lengthBytes: number): void
  /** There is a place again. */
  space(): void
}

export interface GuestNics {
  /** Adapters that are up. */
  readonly list: readonly GuestNic[]
  /** The adapter of this number or name, once it is up. Rejects when the bus goes before. */
  get(which: number | string): Promise<GuestNic>
}
