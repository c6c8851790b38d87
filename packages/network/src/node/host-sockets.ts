// NAT's and tunnels' sockets, on Node's.

import { createSocket } from 'node:dgram'
import { resolve } from 'node:dns/promises'
import { connect } from 'node:net'

import { DnsCode, type DnsFound, type DnsType } from '../dns-message.ts'
import type {
  HostSockets,
  HostTcp,
  HostTcpEvents,
  HostUdp,
  TunnelSocket,
} from '../uplinks/index.ts'

/** Sockets of this host. `onWork`: something was told; whoever sleeps is to look. */
export function hostSockets(onWork: () => void): HostSockets {
  return {
    connect: (address, port, events) => connectTcp(address, port, events, onWork),
    openUdp: (address, port, onMessage) => openUdp(address, port, onMessage, onWork),
    resolve: (name, type, done) => {
      void (async () => {
        done(await resolved(name, type))
        onWork()
      })()
    },
  }
}

async function resolved(name: string, type: DnsType): Promise<DnsFound> {
  try {
    return { code: DnsCode.NO_ERROR, values: await resolve(name, type) }
  } catch (error) {
    return { code: codeOf(error), values: [] }
  }
}

function codeOf(error: unknown): number {
  const { code } = Object(error) as { readonly code: unknown }
  if (code === 'ENOTFOUND') return DnsCode.NO_SUCH_NAME
  return code === 'ENODATA' ? DnsCode.NO_ERROR : DnsCode.SERVER_FAILURE
}

function connectTcp(
  address: string,
  port: number,
  events: HostTcpEvents,
  onWork: () => void,
): HostTcp {
  const socket = connect({ host: address, port, allowHalfOpen: true, noDelay: true })
  const told = (tell: () => void) => (): void => {
    tell()
    onWork()
  }
  let isBroken = false
  socket.on(
    'connect',
    told(() => events.onOpen()),
  )
  socket.on('data', (bytes: Buffer) => {
    events.onData(bytes)
    onWork()
  })
  socket.on(
    'drain',
    told(() => events.onDrain()),
  )
  socket.on(
    'end',
    told(() => events.onEnd()),
  )
  // Why is of no use to a guest: it sees a RST.
  socket.on('error', () => (isBroken = true))
  socket.on(
    'close',
    told(() => events.onClose(!isBroken)),
  )
  return {
    write: (bytes) => socket.write(bytes.slice()),
    end: () => void socket.end(),
    setReading: (isReading) => void (isReading ? socket.resume() : socket.pause()),
    destroy: () => {
      socket.removeAllListeners()
      // One that fails while it goes has nobody to tell.
      socket.on('error', () => {})
      socket.destroy()
    },
  }
}

function openUdp(
  address: string,
  port: number,
  onMessage: (bytes: Uint8Array) => void,
  onWork: () => void,
): HostUdp {
  const socket = createSocket('udp4')
  const first: Uint8Array[] = []
  let isConnected = false
  // A port that nobody has, a network that is down: datagrams are lost, as anywhere.
  socket.on('error', () => {})
  socket.on('message', (bytes) => {
    onMessage(bytes)
    onWork()
  })
  // Connected: the host's kernel lets nobody else's datagrams in.
  socket.connect(port, address, () => {
    isConnected = true
    for (const bytes of first.splice(0)) socket.send(bytes)
  })
  return {
    send: (bytes) => {
      if (isConnected) socket.send(bytes.slice())
      else if (first.length < FIRST_MAX) first.push(bytes.slice())
    },
    close: () => void socket.close(),
  }
}

/** Datagrams that wait for their socket, which is a turn of the event loop. */
const FIRST_MAX = 64

export interface TunnelEnds {
  /** `host:port` here, and there. */
  readonly local: string
  readonly remote: string
}

/** Opens a tunnel's socket. Throws a RangeError for what is no address and port. */
export function tunnelSocket(
  { local, remote }: TunnelEnds,
  onMessage: (bytes: Uint8Array) => void,
  onWork: () => void,
): TunnelSocket {
  const here = endOf(local, 'local')
  const there = endOf(remote, 'remote')
  const socket = createSocket('udp4')
  let failure: string | null = null
  let isBound = false
  socket.on('listening', () => (isBound = true))
  socket.on('error', (error) => {
    // A datagram that could not be sent is lost, as datagrams are; a socket without its address stays so.
    if (isBound) return
    failure ??= error.message
    onWork()
  })
  socket.on('message', (bytes, from) => {
    if (from.address !== there.host || from.port !== there.port) return
    onMessage(bytes)
    onWork()
  })
  socket.bind(here.port, here.host)
  return {
    send: (bytes) => socket.send(bytes.slice(), there.port, there.host),
    close: () => void socket.close(),
    get failure() {
      return failure
    },
  }
}

function endOf(text: string, what: string): { host: string; port: number } {
  const [, host = '', port = ''] = /^([0-9.]+):([0-9]{1,5})$/.exec(text) ?? []
  if (host !== '' && Number(port) >= 1 && Number(port) <= 0xffff) {
    return { host, port: Number(port) }
  }
  throw new RangeError(`${what} must be such as 192.0.2.1:4789; got ${text}`)
}
