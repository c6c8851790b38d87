// Every uplink by the contract; the tunnel's header; the player's pace.

import { describe, expect, test } from 'vitest'

import { tunnelSocket } from '@guestyard/network/file'
import { Services, VmDirectory, Nat, Player, Tunnel } from '@guestyard/network/uplinks'

import { Lan } from '../support/lan.ts'
import { uplinkContract } from './contract.ts'

function frame(bytes = 60): Uint8Array {
  const made = new Uint8Array(bytes)
  made.fill(0xff, 0, 6)
  made.set([2, 0, 0, 0, 0, 7, 0x88, 0xb5], 6)
  return made
}

/** Behind a VXLAN header of that network. */
function carried(network: number, inner: Uint8Array): Uint8Array {
  return Uint8Array.of(8, 0, 0, 0, network >> 16, network >> 8, network, 0, ...inner)
}

class Wire {
  readonly sent: Uint8Array[] = []
  closed = 0
  onMessage: (bytes: Uint8Array) => void = () => {}

  tunnel(network: number): Tunnel {
    const open = (onMessage: (bytes: Uint8Array) => void): ReturnType<typeof tunnelSocket> => {
      this.onMessage = onMessage
      return {
        failure: null,
        send: (bytes) => void this.sent.push(bytes.slice()),
        close: () => void (this.closed += 1),
      }
    }
    return new Tunnel({ network, open })
  }
}

uplinkContract('tunnel', () => {
  const wire = new Wire()
  return { uplink: wire.tunnel(5), fromOutside: () => wire.onMessage(carried(5, frame())) }
})

uplinkContract('player', () => {
  const packets = Array.from({ length: 5_000 }, () => ({ timeUs: 0, bytes: frame() }))
  return { uplink: new Player({ packets }), fromOutside: () => {} }
})

uplinkContract('nat', (lan) => {
  const unreachable = (): never => expect.unreachable()
  const sockets = { connect: unreachable, openUdp: unreachable, resolve: unreachable }
  const nat = new Nat({
    ...{ address: '10.0.0.254/24', mac: '02:00:00:00:00:09', allow: [] },
    ...{ sockets, clock: lan.clock, random: () => 1, secret: new Uint8Array(8) },
  })
  // What comes from outside is an answer to what was asked: who has its address.
  return { uplink: nat, fromOutside: () => void lan.send(0, arpRequest()) }
})

uplinkContract('services', (lan) => {
  const services = new Services({
    ...{ address: '10.0.0.254/24', mac: '02:00:00:00:00:09', directory: new VmDirectory() },
    ...{ clock: lan.clock, random: () => 1, secret: new Uint8Array(8) },
  })
  return { uplink: services, fromOutside: () => void lan.send(0, arpRequest()) }
})

/** Who has 10.0.0.254? */
function arpRequest(): Uint8Array {
  const request = new Uint8Array(42)
  request.fill(0xff, 0, 6)
  request.set([2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1], 6)
  request.set([10, 0, 0, 254], 38)
  return request
}

describe('a tunnel', () => {
  test('carries a frame behind these bytes, its tag where it belongs', () => {
    const lan = new Lan()
    lan.plug()
    const wire = new Wire()
    const tunnel = wire.tunnel(0x01_02_03)
    const vlan = { mode: 'trunk', native: 0, allowed: [7] } as const
    tunnel.attach(lan.switch.connect(tunnel, { vlan }), () => {})
    lan.send(0, frame())
    expect(wire.sent).toEqual([carried(0x01_02_03, frame())])
  })

  test('ignores what is no frame of its network', () => {
    const lan = new Lan()
    const wire = new Wire()
    const tunnel = wire.tunnel(5)
    lan.plug()
    tunnel.attach(lan.switch.connect(tunnel), () => {})
    wire.onMessage(carried(6, frame()))
    wire.onMessage(carried(5, frame()).subarray(0, 21))
    wire.onMessage(new Uint8Array(0))
    wire.onMessage(Uint8Array.of(0, ...carried(5, frame()).subarray(1)))
    tunnel.poll(0)
    expect([lan.got, tunnel.inspect()['ignored']]).toEqual([[], 4])
  })

  test.each([-1, 2 ** 24, 1.5])('of network %d is refused', (network) => {
    expect(() => new Wire().tunnel(network)).toThrow(RangeError)
  })

  test('is closed once, however often, and sends nothing after it', () => {
    const wire = new Wire()
    const lan = new Lan()
    lan.plug()
    const tunnel = wire.tunnel(5)
    tunnel.attach(lan.switch.connect(tunnel), () => {})
    tunnel.close()
    tunnel.close()
    lan.send(0, frame())
    expect([wire.closed, wire.sent]).toEqual([1, []])
  })

  test('says why it is dead when somebody has its port', async () => {
    const ends = { local: '127.0.0.1:47893', remote: '127.0.0.1:47894' }
    const nothing = (): void => {}
    const first = tunnelSocket(ends, nothing, nothing)
    const failed = Promise.withResolvers<void>()
    const tunnel = new Tunnel({
      network: 1,
      open: (onMessage) => tunnelSocket(ends, onMessage, failed.resolve),
    })
    await failed.promise
    expect(first.failure).toBeNull()
    expect(tunnel.inspect()['failure']).toContain('EADDRINUSE')
    tunnel.close()
    tunnel.close()
    first.close()
  })

  test('between two sockets of this host joins two switches', async () => {
    const ends = [
      { local: '127.0.0.1:47891', remote: '127.0.0.1:47892' },
      { local: '127.0.0.1:47892', remote: '127.0.0.1:47891' },
    ]
    const lans = ends.map((end) => {
      const lan = new Lan()
      lan.plug()
      const open = (onMessage: (bytes: Uint8Array) => void) =>
        tunnelSocket(end, onMessage, () => {})
      const tunnel = new Tunnel({ network: 1, open })
      tunnel.attach(lan.switch.connect(tunnel), () => {})
      return { lan, tunnel }
    })
    const [here, there] = lans as [(typeof lans)[0], (typeof lans)[0]]
    while (there.lan.got.length === 0) {
      here.lan.send(0, frame(1_514))
      await new Promise((resolve) => setImmediate(resolve))
      there.tunnel.poll(0)
    }
    expect(there.lan.got[0]).toBe('0: 1514')
    for (const { tunnel } of lans) tunnel.close()
  })

  test.each(['127.0.0.1', '127.0.0.1:0', 'localhost:4789', '127.0.0.1:65536'])(
    'to %j is refused',
    (remote) => {
      const ends = { local: '127.0.0.1:4789', remote }
      expect(() =>
        tunnelSocket(
          ends,
          () => {},
          () => {},
        ),
      ).toThrow(/^remote must be such as/)
    },
  )
})

describe('a player', () => {
  const packets = [0, 1_000, 3_000].map((afterUs) => ({
    timeUs: 7_000_000 + afterUs,
    bytes: frame(),
  }))

  test('plays at the pace of the capture, or at another', () => {
    for (const speed of [1, 2, Infinity]) {
      const lan = new Lan()
      lan.clock.nowMs = 50
      lan.plug()
      const player = new Player({ packets, speed })
      player.attach(lan.switch.connect(player), () => {})
      const times: number[] = []
      while (player.nextDeadlineMs() < Infinity) {
        lan.clock.nowMs = Math.max(lan.clock.nowMs, player.nextDeadlineMs())
        for (let n = player.poll(lan.clock.nowMs); n > 0; n -= 1) times.push(lan.clock.nowMs)
      }
      expect(times).toEqual([50, 50 + 1 / speed, 50 + 3 / speed])
    }
  })

  test.each([0, -1, Number.NaN])('of speed %d is refused', (speed) => {
    expect(() => new Player({ packets, speed })).toThrow(RangeError)
  })
})
