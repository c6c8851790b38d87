// NAT between a stack on a switch and the world: one of fakes, and this host's own sockets.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'

import { describe, expect, test } from 'vitest'

import { hostSockets } from '@guestyard/network/file'
import { Nat } from '@guestyard/network/uplinks'
import type { HostSockets, HostTcpEvents, NatOptions, NatRule } from '@guestyard/network/uplinks'
import { parseIpv4, type TcpConnection } from '@guestyard/tcpip'
import { randomOf } from '@guestyard/tcpip/testing'

import { Lan } from '../support/lan.ts'
import { StackPort } from '../support/stack-port.ts'

const MAC = '00:15:5d:00:00:fe'
const GATEWAY = parseIpv4('10.0.0.254')!
const FAR = parseIpv4('192.0.2.1')!

/** The world: a host that remembers what it was sent, and whom a test speaks for. */
class World implements HostSockets {
  readonly asked: string[] = []
  readonly sent: Uint8Array[] = []
  events: HostTcpEvents | null = null
  answer: ((bytes: Uint8Array) => void) | null = null
  hasRoom = true
  readonly calls: string[] = []
  readonly resolved: ((found: { code: number; values: readonly string[] }) => void)[] = []

  connect(
    address: string,
    port: number,
    events: HostTcpEvents,
  ): ReturnType<HostSockets['connect']> {
    this.asked.push(`tcp ${address}:${port}`)
    this.events = events
    return {
      write: (bytes) => {
        this.sent.push(bytes.slice())
        return this.hasRoom
      },
      end: () => void this.calls.push('end'),
      setReading: (isReading) => void this.calls.push(isReading ? 'resume' : 'pause'),
      destroy: () => void this.calls.push('destroy'),
    }
  }

  resolve(
    name: string,
    type: string,
    done: (found: { code: number; values: readonly string[] }) => void,
  ): void {
    this.asked.push(`${type} ${name}`)
    this.resolved.push(done)
  }

  openUdp(
    address: string,
    port: number,
    onMessage: (bytes: Uint8Array) => void,
  ): ReturnType<HostSockets['openUdp']> {
    this.asked.push(`udp ${address}:${port}`)
    this.answer = onMessage
    return {
      send: (bytes) => void this.sent.push(bytes.slice()),
      close: () => void this.calls.push(`close ${port}`),
    }
  }
}

function natOn(lan: Lan, allow: readonly NatRule[], sockets: HostSockets): Nat {
  const { clock } = lan
  const rest = { sockets, clock, random: randomOf(9), secret: new Uint8Array(8) }
  const options: NatOptions = { address: '10.0.0.254/24', mac: MAC, allow, ...rest }
  const nat = new Nat(options)
  nat.attach(lan.switch.connect(nat, { address: MAC, name: 'nat' }), () => {})
  return nat
}

class Scene {
  readonly lan = new Lan()
  readonly world = new World()
  readonly nat: Nat
  readonly guest: StackPort

  constructor(allow: readonly NatRule[] = [{ to: 'any' }]) {
    this.nat = natOn(this.lan, allow, this.world)
    this.guest = new StackPort(this.lan, '10.0.0.1/24', '10.0.0.254', 1)
  }

  run(done: () => boolean, limitMs = 600_000): boolean {
    const { clock } = this.lan
    const until = clock.nowMs + limitMs
    for (;;) {
      this.guest.poll()
      this.nat.poll(clock.nowMs)
      if (done()) return true
      const next = Math.min(this.guest.nextDeadlineMs(), this.nat.nextDeadlineMs())
      if (next > until) return false
      clock.nowMs = Math.max(clock.nowMs + 0.01, next)
    }
  }

  connect(to = FAR, port = 80): TcpConnection {
    const connection = this.guest.stack.connectTcp(to, port)!
    this.run(() => connection.state !== 'syn-sent')
    return connection
  }
}

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text)

describe('a connection to the world', () => {
  test('is the host’s to whom the guest named, and bytes go both ways', () => {
    const scene = new Scene()
    const { world } = scene
    const connection = scene.connect()
    expect(scene.run(() => world.events !== null)).toBe(true)
    expect(world.asked).toEqual(['tcp 192.0.2.1:80'])
    connection.write(ascii('early'))
    scene.run(() => false, 10)
    expect(world.sent).toEqual([])
    world.events!.onOpen()
    world.events!.onData(ascii('hello'))
    expect(scene.run(() => connection.readableBytes === 5)).toBe(true)
    expect(Buffer.concat(world.sent).toString()).toBe('early')
    connection.finish()
    expect(scene.run(() => world.calls.includes('end'))).toBe(true)
    world.events!.onEnd()
    world.events!.onClose(true)
    expect(scene.run(() => connection.end !== null)).toBe(true)
    expect([connection.end, scene.nat.inspect()['tcp']]).toEqual(['finished', 0])
  })

  test('keeps the host waiting while the guest doesn’t read, and the guest while the host doesn’t', () => {
    const scene = new Scene()
    const { world } = scene
    const connection = scene.connect()
    scene.run(() => world.events !== null)
    world.events!.onOpen()
    // Two windows full, and a byte.
    const piece = new Uint8Array(65_536).fill(7)
    let given = 0
    while (!world.calls.includes('pause')) {
      world.events!.onData(piece)
      given += piece.length
      scene.run(() => false, 10)
    }
    expect(given).toBeLessThan(1_000_000)
    world.events!.onEnd()
    world.events!.onClose(true)
    let read = 0
    const into = new Uint8Array(65_536)
    const isRead = (): boolean => {
      while (connection.readableBytes > 0) read += connection.read(into)
      return connection.isReadFinished
    }
    expect(scene.run(isRead)).toBe(true)
    expect(read).toBe(given)

    const other = new Scene()
    const out = other.connect()
    other.run(() => other.world.events !== null)
    other.world.hasRoom = false
    other.world.events!.onOpen()
    let written = 0
    const isFull = (): boolean => {
      written += out.write(piece)
      return false
    }
    other.run(isFull, 2_000)
    expect(written).toBeLessThan(1_000_000)
    const before = other.world.sent.length
    other.world.hasRoom = true
    other.world.events!.onDrain()
    other.run(() => false, 100)
    expect(other.world.sent.length).toBeGreaterThan(before)
  })

  test('that breaks outside is reset inside, and the other way round', () => {
    const scene = new Scene()
    const connection = scene.connect()
    scene.run(() => scene.world.events !== null)
    scene.world.events!.onClose(false)
    expect(scene.run(() => connection.end !== null)).toBe(true)
    expect(connection.end).toBe('reset')
    const again = scene.connect(FAR, 81)
    scene.run(() => scene.world.asked.length === 2)
    again.abort()
    expect(scene.run(() => scene.world.calls.includes('destroy'))).toBe(true)
    expect(scene.nat.inspect()['tcp']).toBe(0)
  })

  test('ends when the uplink is closed', () => {
    const scene = new Scene()
    const connection = scene.connect()
    scene.run(() => scene.world.events !== null)
    scene.nat.close()
    scene.nat.close()
    expect(scene.world.calls).toEqual(['destroy'])
    expect(scene.run(() => connection.end !== null)).toBe(true)
  })
})

describe('nobody is reached', () => {
  test.each<[string, readonly NatRule[]]>([
    ['by default', []],
    ['at another address', [{ to: '192.0.2.2' }]],
    ['in another network', [{ to: '198.51.100.0/24' }]],
    ['at another port', [{ to: 'any', ports: [81, 90] }]],
    ['by another protocol', [{ to: 'any', protocol: 'udp' }]],
    ['on the host itself', [{ to: 'host' }]],
  ])('%s', (_, allow) => {
    const scene = new Scene(allow)
    expect(scene.connect().end).toBe('refused')
    expect([scene.world.asked, scene.nat.inspect()['refused']]).toEqual([[], 1])
  })

  test('on the host, unless it is named; “any” is the world without it', () => {
    expect(new Scene([{ to: 'any' }]).connect(GATEWAY, 80).end).toBe('refused')
    const scene = new Scene([{ to: 'host', ports: 80 }])
    expect(scene.connect(GATEWAY, 81).end).toBe('refused')
    scene.connect(GATEWAY, 80)
    scene.run(() => scene.world.events !== null)
    expect(scene.world.asked).toEqual(['tcp 127.0.0.1:80'])
  })

  test.each(['127.0.0.1', '127.9.9.9', '0.0.0.0'])(
    'at %s, which a socket takes for the host, by whatever rule',
    (to) => {
      const address = parseIpv4(to)!
      const rules: NatRule[] = [{ to: 'any' }, { to: '0.0.0.0/0' }, { to: 'host' }]
      const scene = new Scene([...rules, { to: '127.0.0.0/8' }])
      // The way to the gateway is known before the datagram, which else waits and may be lost.
      expect(scene.connect(FAR, 80).end).toBe(null)
      // A stack takes no answer from 0.0.0.0: there the connection ends by its time.
      expect(scene.connect(address).end).not.toBe(null)
      scene.guest.stack.bindUdp(5_000, () => {})!.send(ascii('hello'), address, 53)
      scene.run(() => false, 1_000)
      expect(scene.world.asked).toEqual(['tcp 192.0.2.1:80'])
      expect(scene.nat.inspect()['refused']).toBeGreaterThanOrEqual(2)
    },
  )

  test.each<[NatRule, string]>([
    [
      { to: 'example.org' },
      'allow[0].to must be an address, a network such as 192.0.2.0/24, any, or host; got "example.org"',
    ],
    [{ to: 'any', ports: 0 }, 'allow[0].ports must be a port from 1 to 65535, or two; got 0'],
    [
      { to: 'any', ports: [9, 8] },
      'allow[0].ports must be a port from 1 to 65535, or two; got [9,8]',
    ],
    [{ to: 'any', protocol: 'icmp' as 'udp' }, 'allow[0].protocol must be tcp or udp; got "icmp"'],
  ])('by a rule that is none: %o', (rule, message) => {
    expect(() => new Scene([rule])).toThrow(new RangeError(message))
  })
})

describe('datagrams', () => {
  test('go out by a socket of their pair of ends, and come back from whom they were sent to', () => {
    const scene = new Scene()
    const got: unknown[] = []
    const socket = scene.guest.stack.bindUdp(5_000, (bytes, from, port) =>
      got.push([Buffer.from(bytes).toString(), from, port]),
    )!
    socket.send(ascii('one'), FAR, 53)
    socket.send(ascii('two'), FAR, 53)
    expect(scene.run(() => scene.world.sent.length === 2, 5_000)).toBe(false)
    // The first waited for the gateway’s address in the second’s place.
    socket.send(ascii('three'), FAR, 53)
    scene.run(() => scene.world.sent.length === 2)
    expect(scene.world.asked).toEqual(['udp 192.0.2.1:53'])
    scene.world.answer!(ascii('answer'))
    expect(scene.run(() => got.length === 1)).toBe(true)
    expect(got).toEqual([['answer', FAR, 53]])
    // Silence for a minute ends it.
    expect(scene.run(() => scene.world.calls.length > 0, 120_000)).toBe(true)
    expect([scene.world.calls, scene.nat.inspect()['udp']]).toEqual([['close 53'], 0])
  })

  test('of ten thousand pairs of ends have 512 sockets', () => {
    const scene = new Scene()
    const socket = scene.guest.stack.bindUdp(5_000, () => {})!
    socket.send(ascii('x'), FAR, 1)
    scene.run(() => false, 10)
    for (let n = 0; n < 10_000; n += 1) {
      socket.send(ascii('x'), FAR + (n >> 8), 1 + (n & 0xff))
      scene.run(() => true)
    }
    expect(scene.nat.inspect()['udp']).toBe(512)
    expect(scene.world.asked.length - scene.world.calls.length).toBe(512)
  })
})

describe('this host’s own sockets', () => {
  async function until(
    scene: { lan: Lan; nat: Nat; guest: StackPort },
    done: () => boolean,
  ): Promise<void> {
    while (!done()) {
      scene.lan.clock.nowMs = performance.now()
      scene.guest.poll()
      scene.nat.poll(scene.lan.clock.nowMs)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  function scene(): { lan: Lan; nat: Nat; guest: StackPort } {
    const lan = new Lan()
    const nat = natOn(
      lan,
      [{ to: 'host' }],
      hostSockets(() => {}),
    )
    return { lan, nat, guest: new StackPort(lan, '10.0.0.1/24', '10.0.0.254', 1) }
  }

  test('carry a megabyte to an echo and back', async () => {
    const server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const one = scene()
    const bytes = Uint8Array.from({ length: 1_000_000 }, (_, n) => (n * 2_654_435_761) >>> 24)
    const connection = one.guest.stack.connectTcp(GATEWAY, port)!
    const back: Uint8Array[] = []
    let written = 0
    await until(one, () => {
      written += connection.write(bytes.subarray(written))
      if (written === bytes.length) connection.finish()
      const into = new Uint8Array(65_536)
      const read = connection.read(into)
      if (read > 0) back.push(into.subarray(0, read))
      return connection.isReadFinished && connection.readableBytes === 0
    })
    expect(Buffer.compare(Buffer.concat(back), bytes)).toBe(0)
    one.nat.close()
    server.close()
  })

  test('refuse as a reset what nobody listens on, and carry datagrams', async () => {
    const server = createSocket('udp4')
    server.on('message', (bytes, from) => server.send(bytes, from.port, from.address))
    server.bind(0, '127.0.0.1')
    await once(server, 'listening')
    const one = scene()
    const connection = one.guest.stack.connectTcp(GATEWAY, 1)!
    await until(one, () => connection.end !== null)
    expect(connection.end).toBe('reset')
    let got = ''
    const socket = one.guest.stack.bindUdp(0, (bytes) => (got = Buffer.from(bytes).toString()))!
    socket.send(ascii('there and back'), GATEWAY, server.address().port)
    await until(one, () => got !== '')
    expect(got).toBe('there and back')
    one.nat.close()
    server.close()
  })
})
