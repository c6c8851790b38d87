// Names turned into addresses: questions to one server by UDP, asked again when no answer comes.

import {
  DNS_PORT,
  DnsCode,
  dnsQuestion,
  isDnsName,
  parseDnsAnswer,
  type DnsFound,
} from '@guestyard/network/dns'
import type { IpStack } from '@guestyard/tcpip'

interface Asked {
  readonly name: string
  readonly id: number
  readonly send: () => void
  readonly finish: (found: DnsFound | null) => void
  tries: number
  dueMs: number
}

const WAITING_MAX = 64
/** The first answer is waited for so long, and twice as long each time. */
const PATIENCE_MS = 1_000
const TRIES = 3

/** VP's thread only. */
export class Resolver {
  /** Who is asked; 0: nobody. */
  server = 0
  readonly #stack: IpStack
  readonly #clock: { readonly nowMs: number }
  readonly #random: () => number
  readonly #asked: Set<Asked> = new Set()

  constructor(stack: IpStack, clock: { readonly nowMs: number }, random: () => number) {
    this.#stack = stack
    this.#clock = clock
    this.#random = random
  }

  /** IPv4 addresses of a host, at least one. Rejects when there are none, or nobody says. */
  async resolve(name: string): Promise<readonly string[]> {
    if (!isDnsName(name)) throw new TypeError(`not the name of a host: ${JSON.stringify(name)}`)
    if (this.server === 0) throw new Error(`${name}: there is no name server`)
    const found = await this.#ask(name)
    if (found === null) throw new Error(`${name}: the name server does not answer`)
    const { code, values } = found
    if (code === DnsCode.NO_SUCH_NAME) throw new Error(`${name}: there is no such host`)
    if (code !== DnsCode.NO_ERROR) throw new Error(`${name}: the name server refuses (${code})`)
    if (values.length === 0) throw new Error(`${name}: the host has no address`)
    return values
  }

  nextDeadlineMs(): number {
    let dueMs = Number.POSITIVE_INFINITY
    for (const asked of this.#asked) dueMs = Math.min(dueMs, asked.dueMs)
    return dueMs
  }

  poll(): void {
    const { nowMs } = this.#clock
    for (const asked of this.#asked) {
      if (asked.dueMs > nowMs) continue
      if (asked.tries >= TRIES) asked.finish(null)
      else this.#try(asked)
    }
  }

  /** Nobody will answer any more. */
  close(): void {
    for (const asked of this.#asked) asked.finish(null)
  }

  #ask(name: string): Promise<DnsFound | null> {
    const answered = Promise.withResolvers<DnsFound | null>()
    const id = this.#random() & 0xffff
    const { server } = this
    const socket = this.#stack.bindUdp(0, (bytes, from, port) => {
      if (from !== server || port !== DNS_PORT) return
      const found = parseDnsAnswer(bytes, id, name)
      if (found !== null) asked.finish(found)
    })
    if (socket === null || this.#asked.size >= WAITING_MAX) {
      socket?.close()
      throw new Error(`${name}: too many names are asked for`)
    }
    const asked: Asked = {
      ...{ name, id, tries: 0, dueMs: 0 },
      send: () => void socket.send(dnsQuestion(id, name, 'A'), server, DNS_PORT),
      finish: (found) => {
        this.#asked.delete(asked)
        socket.close()
        answered.resolve(found)
      },
    }
    this.#asked.add(asked)
    this.#try(asked)
    return answered.promise
  }

  #try(asked: Asked): void {
    asked.dueMs = this.#clock.nowMs + PATIENCE_MS * 2 ** asked.tries
    asked.tries += 1
    asked.send()
  }
}
