import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BROADCAST, frameBytes, ipv4, ipv6, udp } from '../support/frames.ts'
import { Lan } from '../support/lan.ts'

function guarded(): Lan {
  const lan = new Lan()
  lan.plug({ dhcpGuard: true, routerGuard: true })
  lan.plug()
  return lan
}

function verdict(lan: Lan, type: number, payload: readonly number[]): string {
  const before = lan.drops(0)
  const sent = lan.send(0, frameBytes({ to: BROADCAST, from: 1, type, payload }))
  if (sent.length > 0) return 'passed'
  const after = lan.drops(0)
  return Object.keys(after).find((name) => after[name] !== before[name]) ?? 'nothing'
}

test.each([
  ['an offer of DHCP', 0x800, ipv4(17, udp(67, 68)), 'DHCP_GUARD'],
  ['a question to DHCP', 0x800, ipv4(17, udp(68, 67)), 'passed'],
  [
    'an offer behind IP options',
    0x800,
    ipv4(17, udp(67, 68), { options: [1, 1, 1, 1] }),
    'DHCP_GUARD',
  ],
  ['an answer of DHCPv6', 0x86dd, ipv6(17, udp(547, 546)), 'DHCP_GUARD'],
  [
    'an answer behind an extension header',
    0x86dd,
    ipv6(0, [17, 0, 1, 4, 0, 0, 0, 0, ...udp(547, 546)]),
    'DHCP_GUARD',
  ],
  [
    'a first fragment that hides the ports',
    0x800,
    ipv4(17, [0, 67, 0, 68], { fragment: 0x2000 }),
    'UNREADABLE',
  ],
  [
    'a first fragment that shows them',
    0x800,
    ipv4(17, udp(67, 68), { fragment: 0x2000 }),
    'DHCP_GUARD',
  ],
  ['a later fragment', 0x800, ipv4(17, udp(67, 68), { fragment: 100 }), 'passed'],
  ['a router advertisement', 0x86dd, ipv6(58, [134, 0, 0, 0]), 'ROUTER_GUARD'],
  ['a neighbour solicitation', 0x86dd, ipv6(58, [135, 0, 0, 0]), 'passed'],
  ['a redirect', 0x800, ipv4(1, [5, 0, 0, 0]), 'ROUTER_GUARD'],
  ['a ping', 0x800, ipv4(1, [8, 0, 0, 0]), 'passed'],
  ['an IPv4 header of no length', 0x800, [0x40, ...ipv4(17, udp(1, 2)).slice(1)], 'UNREADABLE'],
  [
    'an endless chain of extension headers',
    0x86dd,
    ipv6(
      0,
      Array.from({ length: 96 }, (_, at) => (at % 8 === 0 ? 0 : 0)),
    ),
    'UNREADABLE',
  ],
])('%s', (_, type, payload, expected) => {
  expect(verdict(guarded(), type, payload)).toBe(expected)
})

test('whatever bytes come, a guarded port answers and no server speaks through it', () => {
  const lan = guarded()
  fc.assert(
    fc.property(
      fc.constantFrom(0x800, 0x86dd),
      fc.uint8Array({ maxLength: 300 }),
      (type, bytes) => {
        expect(verdict(lan, type, [...bytes])).not.toBe('nothing')
      },
    ),
    { numRuns: 300 },
  )
})
