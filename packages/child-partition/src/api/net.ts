// Sockets as a guest program sees them: TCP, UDP and ping over a network adapter. Types only.

import type { Agent, Server } from 'node:http'
import type { Duplex } from 'node:stream'

/** What an adapter is on its network. */
export interface NetSettings {
  /** `10.0.0.1/24`: its address, and how many bits of it are the network's. */
  readonly address: string
  /** Who takes what isn't on the link; nobody when left out. */
  readonly gateway?: string
  /** Who is asked for names; nobody when left out. */
  readonly nameServer?: string
}

/** Why a connection ended: both ends finished; a RST came; no answer for too long; nobody listens there; given up here. */
export type SocketEnd = 'finished' | 'reset' | 'timeout' | 'refused' | 'aborted'

export interface SocketOptions {
  /** Sends small pieces though others are under way: for those that ask and wait. False when left out. */
  readonly noDelay?: boolean
}

/** A TCP connection. One reader and one writer at a time. */
export interface GuestSocket extends AsyncIterable<Uint8Array> {
  readonly localPort: number
  /** `10.0.0.2`. */
  readonly remoteAddress: string
  readonly remotePort: number
  /** Bytes as they come, the program's own; null when the peer has finished. Rejects when the connection broke. */
  read(): Promise<Uint8Array | null>
  /** Resolves when every byte is in the stack's buffer: the array may be reused then. Rejects when the connection broke or has finished. */
  write(bytes: Uint8Array): Promise<void>
  /** Everything is written: the peer reads to the end. What it still sends can be read. */
  end(): void
  /** Nobody will read or write any more. */
  close(): void
  /** Ends it at once; what is under way is lost. */
  abort(): void
  /** Resolves when it is over. */
  readonly ended: Promise<SocketEnd>
  /** As Node's libraries want it. Instead of reading and writing here, not beside it. */
  stream(): Duplex
}

/** A port that is listened on. Connections wait for the program; of more than a hundred that wait, the latest are aborted. */
export interface GuestListener extends AsyncIterable<GuestSocket> {
  readonly port: number
  /** Listens no more; iteration ends. Connections that are open go on. */
  close(): void
}

export interface GuestDatagram {
  readonly bytes: Uint8Array
  readonly address: string
  readonly port: number
}

/** A UDP port. Datagrams wait for the program; those beyond what is buffered are dropped, and counted. */
export interface GuestDatagrams extends AsyncIterable<GuestDatagram> {
  readonly port: number
  readonly dropped: number
  /** False: longer than a packet, no way there, or no room now. */
  send(bytes: Uint8Array, address: string, port: number): boolean
  close(): void
}

/** An adapter that speaks IP. Addresses are IPv4, as numbers with dots; `connect` takes names too, where there is a name server. */
export interface GuestInterface {
  /** The adapter's: `eth0`. */
  readonly name: string
  readonly address: string
  /** Throws when somebody listens on the port. */
  listen(port: number, options?: SocketOptions): GuestListener
  /** The IPv4 addresses of a host, one or more. Rejects when there is no such host, or no name server that answers. */
  resolve(name: string): Promise<readonly string[]>
  /** Resolves when the peer has accepted; rejects when it refuses or doesn't answer. */
  connect(host: string, port: number, options?: SocketOptions): Promise<GuestSocket>
  /** Port 0 or none: any that is free. Throws when it is taken. */
  bind(port?: number): GuestDatagrams
  /** Milliseconds to the answer; null when there is none in time. */
  ping(address: string, options?: { bytes?: number; timeoutMs?: number }): Promise<number | null>
  /** Hands the connections of a port to a server of `node:http`. */
  serveHttp(server: Server, port: number): GuestListener
  /** For `http.request`: connections go by this interface. */
  httpAgent(): Agent
  /** Frames and packets that went no further, by reason; open connections. */
  inspect(): { readonly drops: Readonly<Record<string, number>>; readonly connections: number }
}

export interface GuestNet {
  /**
   * Has an adapter speak IP, once it is up: it is the stack's from then on, and raw frames of it come to nobody. Called again for the same
   * adapter it changes the address. Rejects when an address is none, or the bus goes before.
   */
  up(which: number | string, settings: NetSettings): Promise<GuestInterface>
}
