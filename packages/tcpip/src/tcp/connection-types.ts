// What is said about a connection.

export type TcpState =
  | 'syn-sent'
  | 'syn-received'
  | 'established'
  | 'fin-wait-1'
  | 'fin-wait-2'
  | 'close-wait'
  | 'closing'
  | 'last-ack'
  | 'time-wait'
  | 'closed'

/** Why a connection is closed: both ends finished; a RST; no answer for too long; nobody listens there; given up here. */
export type TcpEnd = 'finished' | 'reset' | 'timeout' | 'refused' | 'aborted'

export interface TcpLimits {
  /** Bytes that wait to be acknowledged, and that wait to be read. */
  readonly sendBytes: number
  readonly receiveBytes: number
  /** How long the ports of a closed connection stay taken: two segment lifetimes. */
  readonly timeWaitMs: number
  /** How long a peer may take to finish after this end is done with the connection whole. */
  readonly finWaitMs: number
}

export interface TcpPorts {
  readonly local: number
  readonly localPort: number
  readonly remote: number
  readonly remotePort: number
}
