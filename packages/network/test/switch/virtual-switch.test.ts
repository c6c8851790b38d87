import { expect, test } from 'vitest'
import { BROADCAST, frameBytes, macText } from '../support/frames.ts'
import { Lan } from '../support/lan.ts'

test('an address that was seen gets its frames alone, until it is too old', () => {
  const lan = new Lan({ macAgeMs: 1000 })
  for (let port = 0; port < 3; port += 1) lan.plug()
  expect(lan.send(0, frameBytes({ to: 2, from: 1 }))).toEqual(['1: 60', '2: 60'])
  expect(lan.send(1, frameBytes({ to: 1, from: 2 }))).toEqual(['0: 60'])
  expect(lan.send(2, frameBytes({ to: 2, from: 3 }))).toEqual(['1: 60'])
  lan.clock.nowMs = 1001
  expect(lan.send(2, frameBytes({ to: 2, from: 3 }))).toEqual(['0: 60', '1: 60'])
})

test('an address that moves is found where it was seen last', () => {
  const lan = new Lan()
  for (let port = 0; port < 3; port += 1) lan.plug()
  lan.send(0, frameBytes({ to: 9, from: 1 }))
  lan.send(1, frameBytes({ to: 9, from: 1 }))
  expect(lan.send(2, frameBytes({ to: 1, from: 3 }))).toEqual(['1: 60'])
  lan.ports[1]!.setLink(false)
  expect(lan.send(2, frameBytes({ to: 1, from: 3 }))).toEqual(['0: 60'])
  expect(lan.send(1, frameBytes({ to: 1, from: 1 }))).toEqual([])
  expect(lan.drops(1)).toEqual({ LINK_DOWN: 1 })
})

test('a port with an address sends from that one alone, and nobody can take it', () => {
  const lan = new Lan()
  lan.plug({ address: macText(1) })
  lan.plug({ address: macText(2), macSpoofing: true })
  lan.plug()
  expect(lan.send(0, frameBytes({ to: BROADCAST, from: 7 }))).toEqual([])
  expect(lan.drops(0)).toEqual({ SPOOFED_SOURCE: 1 })
  expect(lan.send(1, frameBytes({ to: BROADCAST, from: 7 }))).toEqual(['0: 60', '2: 60'])
  expect(lan.send(2, frameBytes({ to: BROADCAST, from: 1 }))).toEqual([])
  expect(lan.drops(2)).toEqual({ SPOOFED_SOURCE: 1 })
  expect(() => lan.plug({ address: macText(1) })).toThrow('another port has its address')
  // Nobody knows 8: who has one address only does not have that one.
  expect(lan.send(2, frameBytes({ to: 8, from: 9 }))).toEqual(['1: 60'])
  lan.ports[0]!.disconnect()
  lan.plug({ address: macText(1) })
  expect(lan.send(2, frameBytes({ to: 1, from: 9 }))).toEqual(['3: 60'])
})

test('VLANs keep ports apart, and tags say which on trunks alone', () => {
  const lan = new Lan()
  lan.plug({ vlan: { mode: 'access', id: 5 } })
  lan.plug({ vlan: { mode: 'access', id: 6 } })
  lan.plug({ vlan: { mode: 'trunk', native: 6, allowed: [5, 7] } })
  lan.plug()
  const all = (from: number): Uint8Array => frameBytes({ to: BROADCAST, from })
  expect(lan.send(0, all(1))).toEqual(['2: 60 tag 5'])
  expect(lan.send(1, all(2))).toEqual(['2: 60'])
  expect(lan.send(2, all(3), 0xa005)).toEqual(['0: 60'])
  expect(lan.send(2, all(3))).toEqual(['1: 60'])
  expect(lan.send(3, all(4))).toEqual([])
  expect(lan.send(0, all(1), 5)).toEqual([])
  expect(lan.send(2, all(3), 8)).toEqual([])
  expect(lan.drops(0)).toEqual({ VLAN: 1 })
  expect(lan.drops(2)).toEqual({ VLAN: 1 })
  // VLAN 0 is a priority and no VLAN; it stays with frames that leave with a tag.
  expect(lan.send(0, all(1), 0x6000)).toEqual(['2: 60 tag 6005'])
})

test('a tag among the bytes counts, and is not among them afterwards', () => {
  const lan = new Lan()
  lan.plug({ vlan: { mode: 'trunk', native: 0, allowed: [5] } })
  lan.plug({ vlan: { mode: 'access', id: 5 } })
  const tagged = frameBytes({
    to: BROADCAST,
    from: 1,
    type: 0x8100,
    payload: [0, 5, 0x88, 0xb5, 1, 2],
  })
  expect(lan.send(0, tagged)).toEqual(['1: 56'])
  expect([...lan.frame.header.subarray(12, 16)]).toEqual([0x88, 0xb5, 1, 2])
})

test('a mirror gets what goes in and out at its source, and nothing else', () => {
  const lan = new Lan()
  lan.plug({ mirror: 'source' })
  lan.plug()
  lan.plug({ mirror: 'destination' })
  lan.plug()
  expect(lan.send(0, frameBytes({ to: BROADCAST, from: 1 }))).toEqual(['2: 60', '1: 60', '3: 60'])
  expect(lan.send(1, frameBytes({ to: 1, from: 2 }))).toEqual(['2: 60', '0: 60'])
  expect(lan.send(3, frameBytes({ to: 2, from: 4 }))).toEqual(['1: 60'])
})

test('what is no frame, or from a group, goes nowhere', () => {
  const lan = new Lan()
  lan.plug()
  lan.plug()
  expect(lan.send(0, new Uint8Array(13))).toEqual([])
  expect(lan.send(0, new Uint8Array(66_000))).toEqual([])
  expect(lan.send(0, frameBytes({ to: 2, from: BROADCAST }))).toEqual([])
  lan.send(0, frameBytes({ to: 2, from: 1 }))
  expect(lan.send(0, frameBytes({ to: 1, from: 3 }))).toEqual([])
  expect(lan.drops(0)).toEqual({ TOO_SHORT: 1, TOO_LONG: 1, GROUP_SOURCE: 1, OWN_PORT: 1 })
})

test('what a receiver refuses is counted at its port', () => {
  const lan = new Lan()
  lan.plug()
  lan.plug()
  lan.answer = 13
  lan.send(0, frameBytes({ to: 2, from: 1 }))
  const [from, to] = lan.switch.inspect().ports
  expect(from).toMatchObject({ sentFrames: 1, sentBytes: 60, sendDrops: {} })
  expect(to).toMatchObject({ receivedFrames: 0, receiveDrops: { NO_BUFFER: 1 } })
})

test('a flood from ten thousand addresses costs others nothing that they had', () => {
  const lan = new Lan({ macLimit: 1024, macLimitPerPort: 64, hashSeed: 7 })
  for (let port = 0; port < 3; port += 1) lan.plug()
  lan.send(1, frameBytes({ to: BROADCAST, from: 2 }))
  for (let from = 100; from < 10_100; from += 1) lan.send(0, frameBytes({ to: 2, from }))
  const { ports, unlearned } = lan.switch.inspect()
  expect(ports[0]!.learned).toBe(64)
  expect(unlearned).toBe(10_000 - 64)
  expect(lan.send(2, frameBytes({ to: 2, from: 3 }))).toEqual(['1: 60'])
  // Its addresses age, and then it may have others.
  lan.clock.nowMs = 300_001
  for (let from = 20_000; from < 20_100; from += 1) lan.send(0, frameBytes({ to: 2, from }))
  expect(lan.switch.inspect().ports[0]!.learned).toBeGreaterThan(50)
})
