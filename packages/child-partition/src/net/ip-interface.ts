// An adapter with a stack on it: frames go from the driver to the stack and back, the kernel polls it by its clock, and what a program asks
// for is asked of it.

import { Agent, type Server } from 'node:http'
import type { Duplex } from 'node:stream'

import { IpStack, formatIpv4, parseCidr, parseIpv4, type Link } from '@guestyard/tcpip'

import { EventStream } from '../api/event-stream.ts'
import type {
  GuestDatagram,
  GuestDatagrams,
  GuestInterface,
  GuestListener,
  GuestSocket,
  NetSettings,
  SocketOptions,
} from '../api/net.ts'
import type { Chore } from '../kernel/kernel.ts'
import type { NicPort } from '../nics/guest-nics.ts'
import { Resolver } from './resolver.ts'
import { TcpListener } from './tcp-listener.ts'
import { TcpSocket } from './tcp-socket.ts'

export interface NetHome {
  readonly clock: { readonly nowMs: number }
  addChore(chore: Chore): void
  removeChore(chore: Chore): void
  /** There is work that no doorbell announces. */
  wake(): void
}

interface Wanted {
  readonly address: number
  readonly prefixBits: number
  readonly gateway: number
  readonly nameServer: number
}

const ETHERNET_BYTES = 14
const PING_BYTES = 56
const PING_PATIENCE_MS = 5_000
const PORT_MAX = 0xffff

/** Reads settings; throws a TypeError that names what is wrong. */
export function parseSettings(settings: NetSettings): Wanted {
  const { address, gateway, nameServer } = settings as { [K in keyof NetSettings]-?: unknown }
  const own = parseCidr(String(address))
  if (own === null || own.address === 0 || own.prefixBits === 0) {
    throw new TypeError(`address must be such as 10.0.0.1/24; got ${JSON.stringify(address)}`)
  }
  const through = gateway === undefined ? 0 : addressOf(gateway, 'gateway')
  const names = nameServer === undefined ? 0 : addressOf(nameServer, 'nameServer')
  return { ...own, gateway: through, nameServer: names }
}

/** VP's thread only. */
export class IpInterface implements GuestInterface, Chore {
  readonly name: string
  readonly #port: NicPort
  readonly #stack: IpStack
  readonly #home: NetHome
  readonly #resolver: Resolver
  #isGone = false

  constructor(port: NicPort, home: NetHome) {
    this.name = port.name
    this.#port = port
    this.#home = home
    const link: Link = {
      address: port.mac,
      mtu: port.maxFrameBytes - ETHERNET_BYTES,
      transmit: (frame, bytes) => port.transmit(frame, bytes),
    }
    const words = new Uint32Array(1)
    const random = (): number => crypto.getRandomValues(words)[0]!
    this.#stack = new IpStack({
      link,
      clock: () => home.clock.nowMs,
      random,
      secret: crypto.getRandomValues(new Uint8Array(16)),
    })
    this.#resolver = new Resolver(this.#stack, home.clock, random)
    const { queue } = port
    queue.receive({
      frame: (gpa, bytes) => this.#stack.receive(queue.bytes.subarray(gpa, gpa + bytes)),
      space: () => {
        if (this.#stack.wantsRoom) this.#stack.poll()
      },
    })
    port.onGone = () => this.#gone()
    home.addChore(this)
  }

  get isGone(): boolean {
    return this.#isGone
  }

  get address(): string {
    return formatIpv4(this.#stack.address)
  }

  configure({ address, prefixBits, gateway, nameServer }: Wanted): void {
    this.#resolver.server = nameServer
    this.#stack.configure(address, prefixBits, gateway)
    this.flush()
  }

  listen(port: number, options: SocketOptions = {}): GuestListener {
    this.#check()
    const listener = new TcpListener(portOf(port), this, () => {
      this.#stack.unlistenTcp(port)
      this.flush()
    })
    if (!this.#stack.listenTcp(port, listener, options)) {
      throw new Error(`port ${port} of ${this.name} is listened on already`)
    }
    return listener
  }

  async resolve(name: string): Promise<readonly string[]> {
    this.#check()
    const found = this.#resolver.resolve(name)
    this.flush()
    return found
  }

  async connect(host: string, port: number, options: SocketOptions = {}): Promise<GuestSocket> {
    this.#check()
    const isName = parseIpv4(host) === null && this.#resolver.server !== 0
    const [address = host] = isName ? await this.resolve(host) : []
    this.#check()
    const to = addressOf(address, 'address')
    const connection = this.#stack.connectTcp(to, portOf(port), options)
    if (connection === null) throw new Error(`${this.name} has no room for a connection`)
    const socket = new TcpSocket(connection, this)
    this.flush()
    await socket.opened
    return socket
  }

  bind(port = 0): GuestDatagrams {
    this.#check()
    const stream = new EventStream<GuestDatagram>()
    const socket = this.#stack.bindUdp(port === 0 ? 0 : portOf(port), (bytes, from, fromPort) =>
      stream.push({ bytes: bytes.slice(), address: formatIpv4(from), port: fromPort }),
    )
    if (socket === null) throw new Error(`UDP port ${port} of ${this.name} is taken`)
    return {
      port: socket.port,
      get dropped() {
        return stream.dropped
      },
      send: (bytes, address, toPort) => {
        const isSent = socket.send(bytes, addressOf(address, 'address'), portOf(toPort))
        this.flush()
        return isSent
      },
      close: () => {
        socket.close()
        stream.end()
      },
      [Symbol.asyncIterator]: () => stream[Symbol.asyncIterator](),
    }
  }

  ping(
    address: string,
    options: { bytes?: number; timeoutMs?: number } = {},
  ): Promise<number | null> {
    this.#check()
    const { bytes = PING_BYTES, timeoutMs = PING_PATIENCE_MS } = options
    const to = addressOf(address, 'address')
    const answered = Promise.withResolvers<number | null>()
    const isSent = this.#stack.ping(to, bytes, timeoutMs, (answer) =>
      answered.resolve(answer?.roundTripMs ?? null),
    )
    if (!isSent) answered.resolve(null)
    this.flush()
    return answered.promise
  }

  serveHttp(server: Server, port: number): GuestListener {
    const listener = this.listen(port, { noDelay: true })
    void (async () => {
      for await (const socket of listener) server.emit('connection', socket.stream())
    })()
    return listener
  }

  httpAgent(): Agent {
    const connect = (host: string, port: number): Promise<GuestSocket> =>
      this.connect(host, port, { noDelay: true })
    return new InterfaceAgent(connect)
  }

  inspect(): { drops: Readonly<Record<string, number>>; connections: number } {
    const { drops, connections } = this.#stack.inspect()
    return { drops, connections }
  }

  nextDeadlineMs(): number {
    return Math.min(this.#stack.nextDeadlineMs(), this.#resolver.nextDeadlineMs())
  }

  poll(): number {
    const stack = this.#stack
    if (this.#home.clock.nowMs < this.nextDeadlineMs()) return 0
    this.#resolver.poll()
    stack.poll()
    this.#port.flush()
    return 1
  }

  /** What the stack sent outside of a poll goes out; its deadlines are looked at again. */
  flush(): void {
    this.#port.flush()
    this.#home.wake()
  }

  #check(): void {
    if (this.#isGone) throw new Error(`${this.name} is gone`)
  }

  #gone(): void {
    this.#isGone = true
    this.#home.removeChore(this)
    this.#stack.abortAll()
    this.#resolver.close()
  }
}

/** Of `node:http`, whose connections are an interface's. */
class InterfaceAgent extends Agent {
  readonly #connect: (host: string, port: number) => Promise<GuestSocket>

  constructor(connect: (host: string, port: number) => Promise<GuestSocket>) {
    super()
    this.#connect = connect
  }

  override createConnection(
    { host, port }: { host?: string | null; port?: number | string | null },
    done: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    void this.#open(host ?? '', Number(port ?? 80), done)
  }

  async #open(
    host: string,
    port: number,
    done: (error: Error | null, stream: Duplex) => void,
  ): Promise<void> {
    let socket: GuestSocket
    try {
      socket = await this.#connect(host, port)
    } catch (error) {
      // The type asks for a stream where there is none.
      return (done as (error: Error) => void)(error as Error)
    }
    done(null, socket.stream())
  }
}

function addressOf(text: unknown, what: string): number {
  const address = parseIpv4(String(text))
  if (address === null) {
    throw new TypeError(`${what} must be such as 10.0.0.1; got ${JSON.stringify(text)}`)
  }
  return address
}

function portOf(port: number): number {
  if (Number.isInteger(port) && port >= 1 && port <= PORT_MAX) return port
  throw new RangeError(`a port is from 1 to ${PORT_MAX}; got ${port}`)
}
