// A guest with a bad cable: its own stack over raw frames, of which a seed loses, doubles and delays some both ways. It sends a file to whoever
// connects to port 80, and tells whoever sends it one on port 9 the SHA-256 of what came.

import { createHash, randomBytes } from 'node:crypto'

import type { Guest, GuestNic } from '@guestyard/child-partition'
import { IpStack, parseCidr, type Link, type TcpConnection } from '@guestyard/tcpip'
import { randomOf } from '@guestyard/tcpip/testing'

/** Of a thousand frames each way. */
const LOST = 20
const DOUBLED = 20
const LATE = 50
/** Frames that pass a late one. */
const LATE_BY = 3
const ETHERNET_BYTES = 14
const TICK_MS = 5
const PIECE_BYTES = 65_536

interface Args {
  readonly address: string
  readonly bytes: number
  readonly seed: number
}

export async function main(guest: Guest): Promise<void> {
  const { address, bytes, seed } = guest.args as Args
  const nic = await guest.nics.get(0)
  const random = randomOf(seed)
  const out = new BadCable(random, (frame) => void nic.send(frame))
  const link: Link = {
    address: Uint8Array.from(nic.address.split(':'), (digits) => Number.parseInt(digits, 16)),
    mtu: nic.maxFrameBytes - ETHERNET_BYTES,
    transmit: (frame, length) => {
      out.carry(frame.slice(0, length))
      return true
    },
  }
  const secret = crypto.getRandomValues(new Uint8Array(16))
  const stack = new IpStack({ link, clock: () => performance.now(), random, secret })
  const own = parseCidr(address)!
  stack.configure(own.address, own.prefixBits)
  const file = randomBytes(bytes)
  stack.listenTcp(80, { onConnection: (connection) => serveFile(connection, file) })
  stack.listenTcp(9, { onConnection: takeFile })
  guest.expose({
    sum: () => createHash('sha256').update(file).digest('hex'),
    harm: () => ({ ...out.harm }),
  })
  const timer = setInterval(() => stack.poll(), TICK_MS)
  guest.signal.addEventListener('abort', () => clearInterval(timer))
  await receive(nic, random, stack, guest.signal)
}

async function receive(
  nic: GuestNic,
  random: () => number,
  stack: IpStack,
  signal: AbortSignal,
): Promise<void> {
  const into = new BadCable(random, (frame) => stack.receive(frame))
  const over = new Promise<null>((resolve) => {
    signal.addEventListener('abort', () => resolve(null))
  })
  const frames = nic.frames[Symbol.asyncIterator]()
  for (;;) {
    const next = await Promise.race([frames.next(), over])
    if (next === null || next.done === true) return
    into.carry(next.value)
    stack.poll()
  }
}

/** Answers any request with the file, and finishes: HTTP/1.0 at its shortest. */
function serveFile(connection: TcpConnection, file: Uint8Array): void {
  const into = new Uint8Array(PIECE_BYTES)
  const head = new TextEncoder().encode(`HTTP/1.0 200 OK\r\nContent-Length: ${file.length}\r\n\r\n`)
  let rest: Uint8Array = Buffer.concat([head, file])
  let isAsked = false
  connection.onChange = () => {
    if (connection.read(into) > 0) isAsked = true
    if (!isAsked) return
    rest = rest.subarray(connection.write(rest))
    if (rest.length === 0) connection.finish()
  }
}

function takeFile(connection: TcpConnection): void {
  const into = new Uint8Array(PIECE_BYTES)
  const hash = createHash('sha256')
  let isTold = false
  connection.onChange = () => {
    for (let read = connection.read(into); read > 0; read = connection.read(into)) {
      hash.update(into.subarray(0, read))
    }
    if (!connection.isReadFinished || isTold || connection.end !== null) return
    isTold = true
    connection.write(new TextEncoder().encode(`${hash.digest('hex')}\n`))
    connection.finish()
  }
}

/** One direction of it. */
class BadCable {
  readonly harm = { lost: 0, doubled: 0, late: 0 }
  readonly #random: () => number
  readonly #pass: (frame: Uint8Array) => void
  readonly #late: { frame: Uint8Array; passedBy: number }[] = []

  constructor(random: () => number, pass: (frame: Uint8Array) => void) {
    this.#random = random
    this.#pass = pass
  }

  carry(frame: Uint8Array): void {
    const fate = this.#random() % 1000
    if (fate < LOST) {
      this.harm.lost += 1
    } else if (fate < LOST + LATE) {
      this.harm.late += 1
      this.#late.push({ frame, passedBy: 0 })
      return
    } else {
      this.#pass(frame)
      if (fate >= 1000 - DOUBLED) {
        this.harm.doubled += 1
        this.#pass(frame)
      }
    }
    for (const late of this.#late) late.passedBy += 1
    while (this.#late.length > 0 && this.#late[0]!.passedBy >= LATE_BY) {
      this.#pass(this.#late.shift()!.frame)
    }
  }
}
