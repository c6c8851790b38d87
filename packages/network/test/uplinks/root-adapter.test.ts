// The root's adapter: its contract, its name, and guests that mean it ill.

import { describe, expect, test } from 'vitest'

import { RootAdapter, VmDirectory } from '@guestyard/network/uplinks'
import { parseIpv4 } from '@guestyard/tcpip'

import { frameBytes, ipv4, tcp } from '../support/frames.ts'
import { Lan } from '../support/lan.ts'
import { StackPort } from '../support/stack-port.ts'
import { uplinkContract } from './contract.ts'

const MAC = '02:00:00:00:00:09'
const ROOT = parseIpv4('10.0.0.2')!

function adapterOf(lan: Lan, directory = new VmDirectory(), name?: string): RootAdapter {
  const world = { clock: lan.clock, random: () => 1, secret: new Uint8Array(8) }
  const named = name === undefined ? {} : { name }
  return new RootAdapter({ address: '10.0.0.2/24', mac: MAC, directory, ...named, ...world })
}

function plugged(lan: Lan, directory = new VmDirectory()): RootAdapter {
  const root = adapterOf(lan, directory)
  root.attach(lan.switch.connect(root, { name: 'root', address: MAC }), () => {})
  return root
}

/** As the engine would, until nobody has anything to do for a while. */
function run(lan: Lan, all: readonly { poll(nowMs: number): unknown }[], ms = 100): void {
  for (let n = 0; n < ms; n += 1) {
    lan.clock.nowMs += 1
    for (const one of all) one.poll(lan.clock.nowMs)
  }
}

uplinkContract('root', (lan) => ({
  uplink: adapterOf(lan),
  fromOutside: () => {
    const request = frameBytes({
      ...{ to: 'ff:ff:ff:ff:ff:ff', from: 1, type: 0x806 },
      payload: [
        0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2,
      ],
    })
    lan.send(0, request)
  },
}))

describe('the root on a switch', () => {
  test('answers a ping, and bytes over TCP', () => {
    const lan = new Lan()
    const root = plugged(lan)
    const guest = new StackPort(lan, '10.0.0.1/24', '0.0.0.0', 1)
    const into = new Uint8Array(2_000)
    root.stack.listenTcp(7, {
      onConnection: (connection) => {
        connection.onChange = () => connection.write(into.subarray(0, connection.read(into)))
      },
    })
    let pinged = false
    guest.stack.ping(ROOT, 56, 1_000, (answer) => (pinged = answer !== null))
    // One packet waits for a neighbour: the next would take its place.
    run(lan, [root, guest])
    const asks = guest.stack.connectTcp(ROOT, 7)!
    run(lan, [root, guest])
    asks.write(Uint8Array.of(1, 2, 3))
    run(lan, [root, guest])
    expect(pinged).toBe(true)
    expect([...into.subarray(0, asks.read(into))]).toEqual([1, 2, 3])
  })

  test('opens a connection to a guest', () => {
    const lan = new Lan()
    const root = plugged(lan)
    const guest = new StackPort(lan, '10.0.0.1/24', '0.0.0.0', 1)
    guest.stack.listenTcp(80, { onConnection: () => {} })
    const connection = root.stack.connectTcp(parseIpv4('10.0.0.1')!, 80)!
    run(lan, [root, guest])
    expect(connection.state).toBe('established')
  })

  test('is known by its name as long as it is there', () => {
    const lan = new Lan()
    const directory = new VmDirectory()
    const root = plugged(lan, directory)
    expect(directory.addressesOf('root')).toEqual([ROOT])
    root.close()
    expect(directory.addressesOf('root')).toBe(null)
  })

  test('keeps few of a flood of half-open connections, and serves an honest guest after it', () => {
    const lan = new Lan()
    const hostile = lan.plug()
    const root = plugged(lan)
    const guest = new StackPort(lan, '10.0.0.1/24', '0.0.0.0', 1)
    root.stack.listenTcp(80, { onConnection: () => {} })
    for (let n = 0; n < 5_000; n += 1) {
      const syn = tcp(1_024 + n, 80, [], { sequence: n, flags: 2 })
      lan.frame.setBytes(frameBytes({ to: MAC, from: 0x77, type: 0x800, payload: checked(syn) }))
      lan.frame.takeTag()
      hostile.send(lan.frame)
      root.poll(lan.clock.nowMs)
    }
    expect(root.stack.inspect().connections).toBe(128)
    const honest = guest.stack.connectTcp(ROOT, 80)!
    run(lan, [root, guest], 5_000)
    expect(honest.state).toBe('established')
  })

  test.each(['10.0.0.2', '10.0.0.2/0', '0.0.0.0/24', 'x'])(
    'of address %j is refused',
    (address) => {
      const world = { clock: new Lan().clock, random: () => 1, secret: new Uint8Array(8) }
      const directory = new VmDirectory()
      expect(() => new RootAdapter({ address, mac: MAC, directory, ...world })).toThrow(
        /^address must be such as/,
      )
    },
  )

  test.each(['', 'a.b', '-a', 'a'.repeat(64)])('of name %j is refused', (name) => {
    expect(() => adapterOf(new Lan(), new VmDirectory(), name)).toThrow(/^name must be/)
  })
})

/** A segment in a packet of 10.0.0.1's to the root, its checksums right. */
function checked(segment: number[]): number[] {
  const packet = ipv4(6, segment)
  put(packet, 10, [...packet.slice(0, 20)])
  const pseudo = [...packet.slice(12, 20), 0, 6, segment.length >> 8, segment.length & 0xff]
  put(packet, 36, [...pseudo, ...segment])
  return packet
}

function put(packet: number[], at: number, summed: readonly number[]): void {
  let sum = 0
  for (let n = 0; n < summed.length; n += 2) sum += summed[n]! * 256 + (summed[n + 1] ?? 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  packet[at] = (~sum >> 8) & 0xff
  packet[at + 1] = ~sum & 0xff
}
