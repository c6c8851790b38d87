// Names of machines on a switch, and of the world behind a NAT: asked for by guests that mean well, and by others.

import { describe, expect, test } from 'vitest'

import { dnsQuestion, parseDnsAnswer, type DnsFound, type DnsType } from '@guestyard/network/dns'
import { Nat, Services, VmDirectory, type ResolveName } from '@guestyard/network/uplinks'
import { parseIpv4 } from '@guestyard/tcpip'
import { randomOf } from '@guestyard/tcpip/testing'
import { decode } from 'dns-packet'

import { Lan } from '../support/lan.ts'
import { StackPort } from '../support/stack-port.ts'

const MAC = '00:15:5d:00:00:fe'
const SERVER = parseIpv4('10.0.0.254')!
const OUR_IDLE_MS = 1_000

class Scene {
  readonly lan = new Lan()
  readonly directory = new VmDirectory()
  readonly uplink: Services | Nat
  readonly db: StackPort
  readonly web: StackPort
  readonly asked: { name: string; type: DnsType; done: (found: DnsFound) => void }[] = []

  /** `names`: behind a NAT that asks the world for them; null: a private switch. */
  constructor(names: readonly string[] | null = null) {
    const { clock } = this.lan
    const rest = { clock, random: randomOf(9), secret: new Uint8Array(8) }
    const here = { address: '10.0.0.254/24', mac: MAC, directory: this.directory, ...rest }
    const unreachable = (): never => expect.unreachable()
    const resolve: ResolveName = (name, type, done) => void this.asked.push({ name, type, done })
    const sockets = { connect: unreachable, openUdp: unreachable, resolve }
    this.uplink =
      names === null ? new Services(here) : new Nat({ ...here, allow: [], names, sockets })
    const port = this.lan.switch.connect(this.uplink, { address: MAC, name: 'uplink' })
    this.uplink.attach(port, () => {})
    this.db = this.#machine('DB', '10.0.0.1', 1)
    this.web = this.#machine('web 1', '10.0.0.2', 2)
    this.run()
  }

  #machine(name: string, address: string, last: number): StackPort {
    this.directory.add(`02:00:00:00:00:0${last}`, name)
    return new StackPort(this.lan, `${address}/24`, '10.0.0.254', last)
  }

  run(ms = 20): void {
    const { clock } = this.lan
    for (const until = clock.nowMs + ms; clock.nowMs < until; clock.nowMs += 1) {
      this.db.poll()
      this.web.poll()
      this.uplink.poll(clock.nowMs)
    }
  }

  /** Sends these to the server; the answers that came. */
  tell(from: StackPort, ...messages: readonly Uint8Array[]): Uint8Array[] {
    const answers: Uint8Array[] = []
    const socket = from.stack.bindUdp(0, (bytes) => answers.push(bytes.slice()))!
    for (const bytes of messages) {
      socket.send(bytes, SERVER, 53)
      this.run(2)
    }
    this.run()
    socket.close()
    return answers
  }

  ask(name: string, type: DnsType = 'A'): { code: string; data: unknown[] } {
    const [bytes] = this.tell(this.web, dnsQuestion(1, name, type))
    const packet = decode(Buffer.from(bytes!)) as ReturnType<typeof decode> & { rcode: string }
    return {
      code: packet.rcode,
      data: (packet.answers ?? []).map((one) => ('data' in one ? one.data : null)),
    }
  }

  get counts(): unknown {
    return this.uplink.inspect()['names']
  }
}

describe('a private switch', () => {
  test('knows its machines by name, with what stands behind it or without, and by address', () => {
    const scene = new Scene()
    expect(scene.ask('db')).toEqual({ code: 'NOERROR', data: ['10.0.0.1'] })
    expect(scene.ask('Web-1.guestyard.internal')).toEqual({ code: 'NOERROR', data: ['10.0.0.2'] })
    expect(scene.ask('1.0.0.10.in-addr.arpa', 'PTR')).toEqual({
      code: 'NOERROR',
      data: ['db.guestyard.internal'],
    })
  })

  test('has no IPv6 addresses, and says of no other name that it is there', () => {
    const scene = new Scene()
    expect(scene.ask('db', 'AAAA')).toEqual({ code: 'NOERROR', data: [] })
    for (const name of ['nobody', 'example.com', 'db.example.com', '9.0.0.10.in-addr.arpa']) {
      expect(scene.ask(name)).toEqual({ code: 'NXDOMAIN', data: [] })
    }
  })

  test('a machine that goes takes its name along', () => {
    const scene = new Scene()
    scene.directory.remove('02:00:00:00:00:01')
    expect(scene.ask('db').code).toBe('NXDOMAIN')
  })

  test('a machine that says it has another’s address moves no name but its own', () => {
    const scene = new Scene()
    scene.db.stack.configure(parseIpv4('10.0.0.2')!, 24)
    scene.run()
    expect(scene.ask('web-1').data).toEqual(['10.0.0.2'])
    scene.db.stack.configure(parseIpv4('10.0.0.7')!, 24)
    scene.run()
    expect(scene.ask('db').data).toEqual(['10.0.0.7'])
  })

  test('a machine that asks for an address in another’s name moves no name', () => {
    const scene = new Scene()
    const socket = scene.web.stack.bindUdp(68, () => {})!
    const bytes = new Uint8Array(250)
    bytes.set([1, 1, 6])
    bytes.set([2, 0, 0, 0, 0, 1], 28)
    bytes.set([0x63, 0x82, 0x53, 0x63, 53, 1, 3, 50, 4, 10, 0, 0, 9, 255], 236)
    socket.send(bytes, 0xffff_ffff, 67)
    scene.run()
    expect(scene.ask('db').data).toEqual(['10.0.0.1'])
  })

  test('the root’s name and address are its own, whoever claims them', () => {
    const scene = new Scene()
    const root = parseIpv4('10.0.0.253')!
    scene.directory.add('02:00:00:00:00:09', 'root', root)
    // A machine that is called the same, and one that says by ARP that it has the address.
    scene.directory.add('02:00:00:00:00:01', 'root')
    scene.directory.learn(0x0200_0000_0001, parseIpv4('10.0.0.1')!)
    scene.directory.learn(0x0200_0000_0002, root)
    scene.directory.learn(0x0200_0000_0009, parseIpv4('10.0.0.7')!)
    expect(scene.ask('root').data).toEqual(['10.0.0.253'])
    expect(scene.ask('253.0.0.10.in-addr.arpa', 'PTR').data).toEqual(['root.guestyard.internal'])
  })

  test('nobody is given the root’s address', () => {
    const scene = new Scene()
    for (let host = 1; host < 254; host += 1) {
      scene.directory.add(
        `02:00:00:00:02:${host.toString(16).padStart(2, '0')}`,
        'x',
        0x0a00_0000 + host,
      )
    }
    const socket = scene.web.stack.bindUdp(68, () => {})!
    const bytes = new Uint8Array(250)
    bytes.set([1, 1, 6])
    bytes.set([2, 0, 0, 0, 0, 2], 28)
    bytes.set([0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255], 236)
    socket.send(bytes, 0xffff_ffff, 67)
    scene.run()
    expect(scene.uplink.inspect()['leases']).toBe(0)
    scene.directory.remove('02:00:00:00:02:32')
    socket.send(bytes, 0xffff_ffff, 67)
    scene.run()
    expect(scene.uplink.inspect()['leases']).toBe(1)
  })

  test('a flood costs whoever sends it its answers, and nobody else', () => {
    const scene = new Scene()
    const question = dnsQuestion(1, 'db', 'A')
    const floods = Array.from({ length: 400 }, () => question)
    const answers = scene.tell(scene.db, ...floods)
    expect(answers.length).toBeGreaterThanOrEqual(256)
    expect(answers.length).toBeLessThan(400)
    expect(scene.counts).toMatchObject({ flooded: 400 - answers.length })
    expect(scene.ask('db').code).toBe('NOERROR')
    scene.run(OUR_IDLE_MS)
    expect(scene.tell(scene.db, question).length).toBe(1)
  })

  test('what is no question is counted, and not answered', () => {
    const scene = new Scene()
    const loop = dnsQuestion(1, 'db', 'A')
    loop.set([0xc0, 12], 12)
    const counted = dnsQuestion(1, 'db', 'A')
    counted.set([0xff, 0xff], 4)
    const answers = scene.tell(scene.db, loop, counted, new Uint8Array(1_400), new Uint8Array(0))
    expect(answers).toEqual([])
    expect(scene.counts).toMatchObject({ malformed: 4, answered: 0 })
    expect(scene.ask('db').code).toBe('NOERROR')
  })
})

describe('behind a NAT', () => {
  test('the host is asked for names that are listed, and for no others', () => {
    const scene = new Scene(['example.com', '*.example.org'])
    const answers = scene.tell(
      scene.web,
      ...['example.com', 'www.EXAMPLE.org', 'example.org', 'www.example.com', 'badexample.org'].map(
        (name, id) => dnsQuestion(id, name, 'A'),
      ),
    )
    expect(scene.asked.map(({ name }) => name)).toEqual(['example.com', 'www.EXAMPLE.org'])
    expect(answers.length).toBe(3)
    expect(scene.counts).toMatchObject({ forwarded: 2, refused: 3, waiting: 2 })
  })

  test('its answer comes back to whoever asked', () => {
    const scene = new Scene(['*'])
    const got: (DnsFound | null)[] = []
    const socket = scene.web.stack.bindUdp(0, (bytes) => {
      got.push(parseDnsAnswer(bytes, 5, 'example.com'))
    })!
    socket.send(dnsQuestion(5, 'example.com', 'A'), SERVER, 53)
    scene.run()
    scene.asked[0]!.done({ code: 0, values: ['192.0.2.1', 'nonsense'] })
    scene.run()
    expect(got).toEqual([{ code: 0, values: ['192.0.2.1'] }])
    expect(scene.ask('db').data).toEqual(['10.0.0.1'])
  })

  test('64 questions wait for the host, and no more', () => {
    const scene = new Scene(['*'])
    const questions = Array.from({ length: 100 }, (_, id) => dnsQuestion(id, 'a.example', 'A'))
    expect(scene.tell(scene.web, ...questions).length).toBe(36)
    expect(scene.asked.length).toBe(64)
    expect(scene.counts).toMatchObject({ busy: 36, waiting: 64 })
    for (const { done } of scene.asked) done({ code: 3, values: [] })
    expect(scene.counts).toMatchObject({ waiting: 0 })
  })

  test.each(['', 'a b', '**', 'a.*', 7 as unknown as string])(
    'the name %j can’t be listed',
    (name) => {
      expect(() => new Scene([name])).toThrow(/^names\[0\] must be such as example\.com/)
    },
  )
})
