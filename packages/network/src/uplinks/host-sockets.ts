// Sockets of the host as NAT uses them, so that it can be tried without any. Callbacks come on the switch's thread, never within a call.

import type { ResolveName } from './name-server.ts'

export interface HostTcpEvents {
  onOpen(): void
  /** Bytes, good during the call. */
  onData(bytes: Uint8Array): void
  /** `write` has room again. */
  onDrain(): void
  /** The other end has finished. */
  onEnd(): void
  /** It is over. `isClean`: both ends had finished. Once, and nothing after it. */
  onClose(isClean: boolean): void
}

export interface HostTcp {
  /** Takes a copy. False: wait for `onDrain`. */
  write(bytes: Uint8Array): boolean
  /** Everything is written. */
  end(): void
  /** Whether `onData` may come. */
  setReading(isReading: boolean): void
  /** Ends it at once; `onClose` does not follow. */
  destroy(): void
}

export interface HostUdp {
  /** Takes a copy; lost when it can't be sent. */
  send(bytes: Uint8Array): void
  close(): void
}

/** Addresses are IPv4, as numbers with dots. Nothing here throws: what fails is told by `onClose`, or is lost. */
export interface HostSockets {
  connect(address: string, port: number, events: HostTcpEvents): HostTcp
  /** A port of the host's that speaks to one other. */
  openUdp(address: string, port: number, onMessage: (bytes: Uint8Array) => void): HostUdp
  /** Asks the host's resolver. */
  readonly resolve: ResolveName
}
