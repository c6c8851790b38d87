// Script guests that reach what lies beyond their switch: this host through NAT, another switch through a tunnel, a capture that is played; and
// what the switch's own capture has of it.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, describe, expect, test } from 'vitest'

import { startHost, type Host, type SwitchesOptions, type Vm } from '@guestyard/management'
import { readPcapng } from '@guestyard/network/pcap'

const PROGRAM = new URL('guests/sockets.ts', import.meta.url)
const PAGE = Uint8Array.from({ length: 200_000 }, (_, n) => (n * 2_654_435_761) >>> 24)

const folder = mkdtempSync(join(tmpdir(), 'guestyard-uplinks-'))
afterAll(() => rmSync(folder, { recursive: true }))

async function withHost(
  switches: SwitchesOptions,
  use: (host: Host, guest: (name: string, address: string) => Promise<Vm>) => Promise<void>,
): Promise<void> {
  const host = await startHost({ log: { level: 'silent' }, switches })
  try {
    await use(host, async (name, address) => {
      const args = { address, gateway: '10.0.0.254' }
      // Two hosts number their adapters alike: behind a tunnel each wants an address of its own.
      const last = address.charCodeAt('10.0.0.'.length).toString(16)
      const nics = [{ switch: Object.keys(switches)[0]!, address: `00:15:5d:00:01:${last}` }]
      const vm = host.createVm({ name, memoryBytes: 8 * 2 ** 20, program: PROGRAM, args, nics })
      await vm.start()
      return vm
    })
  } finally {
    await host.close()
  }
}

test('a guest fetches a page of this host through NAT, and the capture of it is whole', async () => {
  const server = createServer((_request, response) => response.end(PAGE))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const capture = join(folder, 'nat.pcapng')
  const allow = [{ to: 'host', protocol: 'tcp', ports: port }] as const
  const uplink = { kind: 'nat', address: '10.0.0.254/24', allow } as const
  await withHost({ lan: { uplink, capture } }, async (host, guest) => {
    const vm = await guest('a', '10.0.0.1/24')
    expect(await vm.call('fetchedFrom', { host: '10.0.0.254', port })).toEqual([PAGE.length, true])
    expect(await vm.call('refused', '10.0.0.254')).toBe('10.0.0.254:81: the connection was refused')
    expect(await vm.call('refused', '192.0.2.1')).toBe('192.0.2.1:81: the connection was refused')
    const { switches } = await host.inspect()
    expect(switches[0]).toMatchObject({ name: 'lan', uplink: { kind: 'nat', refused: 2 } })
  })
  server.close()
  const packets = [...readPcapng(readFileSync(capture))]
  const bytes = packets.reduce((sum, packet) => sum + packet.originalLength, 0)
  expect(bytes).toBeGreaterThan(PAGE.length)
  expect(bytes).toBeLessThan(2 * PAGE.length)
  expect(new Set(packets.map(({ interfaceName }) => interfaceName)).size).toBe(1)
})

test('tshark finds no malformed frame and no wrong checksum in that capture', (context) => {
  const checks = ['-o', 'tcp.check_checksum:TRUE', '-o', 'ip.check_checksum:TRUE']
  const filter = '_ws.malformed || tcp.checksum.status == 0 || ip.checksum.status == 0'
  const file = join(folder, 'nat.pcapng')
  const run = spawnSync('tshark', ['-r', file, ...checks, '-Y', filter], { encoding: 'utf8' })
  if (run.error !== undefined) context.skip('tshark is not installed')
  expect([run.status, run.stdout]).toEqual([0, ''])
})

test('guests of two hosts meet through a tunnel, and a third hears what is played', async () => {
  const [here, there] = ['127.0.0.1:47893', '127.0.0.1:47894']
  const capture = join(folder, 'tunnel.pcapng')
  const tunnel = (local: string, remote: string): SwitchesOptions => ({
    lan: { uplink: { kind: 'tunnel', local, remote }, ...(local === here && { capture }) },
  })
  await withHost(tunnel(here, there), (_one, guestHere) =>
    withHost(tunnel(there, here), async (_two, guestThere) => {
      const [one, two] = [await guestHere('a', '10.0.0.1/24'), await guestThere('b', '10.0.0.2/24')]
      await two.call('serve', 100_000)
      expect(await one.call('fetched', '10.0.0.2')).toEqual([100_000, true])
    }),
  )
  const player = { lan: { uplink: { kind: 'player', file: capture, speed: 1_000 } } } as const
  await withHost(player, async (host, guest) => {
    await guest('c', '10.0.0.3/24')
    let frames = 0
    while (frames === 0) {
      const { switches } = await host.inspect()
      frames = switches[0]!.ports.find(({ name }) => name === 'player')!.sentFrames
    }
    expect(frames).toBeGreaterThan(0)
  })
})

describe('a switch that can’t be made keeps its host from starting, on one line', () => {
  const nat = { kind: 'nat', address: '10.0.0.254/24', allow: [] } as const
  test.each<[SwitchesOptions, string]>([
    [
      { lan: { uplink: { ...nat, address: '10.0.0.254' } } },
      'switches.lan: address must be such as 10.0.0.1/24; got 10.0.0.254',
    ],
    [
      { lan: { uplink: { ...nat, allow: [{ to: 'me' }] } } },
      'switches.lan: allow[0].to must be an address, a network such as 192.0.2.0/24, any, or host; got "me"',
    ],
    [
      { lan: { uplink: { kind: 'bridge' } as never } },
      "switches.lan.uplink.kind: expected 'nat', 'services', 'tunnel' or 'player'",
    ],
    [
      { lan: { uplink: { ...nat, alow: 1 } as never } },
      'switches.lan.uplink.alow: unknown field (known: kind, address, allow, dhcp, domain, names)',
    ],
    [
      { lan: { uplink: { kind: 'tunnel', local: 'x', remote: '1.2.3.4:5' } } },
      'switches.lan: local must be such as 192.0.2.1:4789; got x',
    ],
    [{ lan: { capture: '' } }, 'switches.lan.capture: expected the name of a file'],
    [{ '': {} }, 'switches.: expected a name of 1 to 64 characters'],
  ])('%j', async (switches, message) => {
    await expect(startHost({ log: { level: 'silent' }, switches })).rejects.toThrow(
      new RangeError(message),
    )
  })

  test('a file that is no capture, and one that can’t be made', async () => {
    const file = fileOfThisTest()
    const player = { lan: { uplink: { kind: 'player', file } } } as const
    const quiet = { log: { level: 'silent' } } as const
    await expect(startHost({ ...quiet, switches: player })).rejects.toThrow(
      /^switches\.lan: .*uplinks\.test\.ts: .* \(byte \d+\)$/,
    )
    const capture = join(folder, 'none', 'x.pcapng')
    await expect(startHost({ ...quiet, switches: { lan: { capture } } })).rejects.toThrow(
      /^switches\.lan: ENOENT/,
    )
  })
})

function fileOfThisTest(): string {
  return new URL(import.meta.url).pathname
}
