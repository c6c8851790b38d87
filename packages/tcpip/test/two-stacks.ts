// Two stacks at the ends of a wire, and a clock that jumps to whatever is due.

import assert from 'node:assert/strict'

import { IpStack, parseIpv4, type TcpConnection, type TcpLimits } from '@guestyard/tcpip'
import { TestWire, randomOf, type WireOptions } from '@guestyard/tcpip/testing'

export const ONE: number = parseIpv4('10.0.0.1')!
export const TWO: number = parseIpv4('10.0.0.2')!

export interface TwoStacksOptions extends WireOptions {
  readonly tcp?: Partial<TcpLimits>
  /** Both stacks' own; a seed each when left out. */
  readonly random?: () => number
}

export class TwoStacks {
  readonly wire: TestWire
  readonly one: IpStack
  readonly two: IpStack

  constructor({ tcp = {}, random, ...wire }: TwoStacksOptions = {}) {
    this.wire = new TestWire(wire)
    this.one = this.#stack(0, ONE, tcp, random ?? randomOf(1))
    this.two = this.#stack(1, TWO, tcp, random ?? randomOf(2))
  }

  /** Lets things happen until `done`, or until nothing is due any more or `limitMs` have passed: then false. */
  run(done: () => boolean, limitMs = 600_000): boolean {
    const { wire, one, two } = this
    const until = wire.nowMs + limitMs
    for (;;) {
      wire.deliver()
      one.poll()
      two.poll()
      if (done()) return true
      // A link without room is tried again when the next frame has left it.
      const next = Math.min(wire.nextDeadlineMs(), one.nextDeadlineMs(), two.nextDeadlineMs())
      if (next > until) return false
      wire.nowMs = Math.max(wire.nowMs + 0.001, next)
    }
  }

  /** A connection from one to two, open at both ends. */
  connected(port = 80): [TcpConnection, TcpConnection] {
    let accepted: TcpConnection | null = null
    this.two.listenTcp(port, {
      onConnection: (connection) => {
        accepted = connection
      },
    })
    const connection = this.one.connectTcp(TWO, port)!
    assert(this.run(() => accepted !== null && connection.state === 'established'))
    return [connection, accepted!]
  }

  #stack(end: 0 | 1, address: number, tcp: Partial<TcpLimits>, random: () => number): IpStack {
    const { wire } = this
    const link = wire.ends[end]
    const secret = new Uint8Array(8).fill(end + 1)
    const stack = new IpStack({ link, clock: () => wire.nowMs, random, secret, tcp })
    link.onFrame = (frame) => stack.receive(frame)
    stack.configure(address, 24)
    return stack
  }
}

/** Bytes whose place can be told from their value. */
export function pattern(bytes: number, from = 0): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, n) => ((from + n) * 2_654_435_761) >>> 24)
}

/** Moves bytes from one end to the other, reading in bites; what arrived. */
export function transfer(
  stacks: TwoStacks,
  from: TcpConnection,
  to: TcpConnection,
  bytes: Uint8Array,
  bite = 65_536,
): Uint8Array {
  const arrived: Uint8Array[] = []
  const into = new Uint8Array(bite)
  let written = 0
  const isOver = (): boolean => {
    written += from.write(bytes.subarray(written))
    if (written === bytes.length) from.finish()
    for (let read = to.read(into); read > 0; read = to.read(into)) arrived.push(into.slice(0, read))
    return to.isReadFinished && to.readableBytes === 0
  }
  assert(stacks.run(isOver), 'the transfer ends')
  return Buffer.concat(arrived)
}
