// A host that lies: the driver skips what makes no sense, counts it, and goes on.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { StorOperation, StorStatus } from '@guestyard/storage/protocol'
import { StorOutcome, StorRequest, readBlocks } from '@guestyard/storage/vsc'
import { RawHost } from '../support/raw-host.ts'

test('the driver asks for older versions until one is spoken', () => {
  const host = new RawHost()
  host.answer(host.take()[0], 0)
  const asked: string[] = []
  for (let version = 0; version < 5; version += 1) {
    const [packet] = host.take()
    asked.push(`${packet?.operation}: ${packet?.bytes[13]}.${packet?.bytes[12]}`)
    host.answer(packet, StorStatus.REVISION_MISMATCH)
  }
  expect(asked).toEqual(['9: 6.2', '9: 6.0', '9: 5.1', '9: 4.2', '9: 2.0'])
  expect([host.vsc.state, host.take()]).toEqual(['failed', []])
  expect(host.events[0]).toContain('no version')
})

test('with an old version packets are short', () => {
  const host = new RawHost()
  host.answer(host.take()[0], 0)
  for (let refused = 0; refused < 3; refused += 1) {
    host.answer(host.take()[0], StorStatus.REVISION_MISMATCH)
  }
  host.answer(host.take()[0], 0)
  expect(host.take()[0]?.bytes.length).toBe(48)
})

describe('a handshake that the host breaks is over:', () => {
  test('BEGIN_INITIALIZATION refused', () => {
    const host = new RawHost()
    host.answer(host.take()[0], 1)
    expect(host.events).toEqual(['failed: the host refused begin'])
  })

  test('no transfers at all', () => {
    const host = new RawHost()
    host.answer(host.take()[0], 0)
    host.answer(host.take()[0], 0)
    host.describe(host.take()[0], 0)
    expect(host.events).toEqual(['failed: the host refused properties'])
  })
})

test('answers to nothing, of no length, twice, or of an old use of a tag are skipped', () => {
  const host = new RawHost()
  const first = host.shakeHands()
  const ignored = (): number => host.vsc.ignored
  const before = ignored()
  host.send(new Uint8Array(8), first.tid)
  host.send(new Uint8Array(64), [77, 1])
  host.send(new Uint8Array(64), [first.tid[0], first.tid[1] + 1])
  host.send(new Uint8Array(64), [0, 0])
  host.send(new Uint8Array(48), first.tid)
  host.send(new Uint8Array(64), [-3, -1])
  host.send(new Uint8Array(64), [-4, -1])
  expect(ignored()).toBe(before + 7)
  host.answer(first, 0)
  host.answer(first, 0)
  expect(ignored()).toBe(before + 8)
})

test('a host that breaks the ring loses the channel, and every request ends', () => {
  const host = new RawHost()
  host.answer(host.shakeHands(), 1)
  let ends = 0
  const request = new StorRequest(1, () => {
    ends += 1
  })
  request.setData(80 * 4096, 4096)
  readBlocks(request, 0, 8)
  host.vsc.submit(request, 0)
  host.loopback.pump()
  // The write index of the ring from the host, in the middle of nowhere.
  const { pfns } = host.clientChannel
  host.loopback.memory.i32[(pfns[pfns.length / 2]! * 4096) >> 2] = 0x7fff_fff3
  host.channel.signal()
  host.loopback.pump()
  expect([request.outcome, ends, host.vsc.state]).toEqual([StorOutcome.GONE, 1, 'closed'])
  expect(host.events.at(-1)).toContain('the ring broke')
})

test('unsolicited packets but the two that speak of units are skipped', () => {
  const host = new RawHost()
  host.shakeHands()
  const before = host.vsc.ignored
  for (const operation of Object.values(StorOperation)) {
    const packet = new Uint8Array(64)
    packet[0] = operation
    host.send(packet, null)
  }
  expect(host.vsc.ignored).toBe(before + Object.values(StorOperation).length - 2)
})

test('numbers in an answer are held to what was asked', () => {
  const host = new RawHost()
  const first = host.shakeHands()
  host.answer(first, 1)
  for (let step = 0; step < 4; step += 1) for (const packet of host.take()) host.answer(packet, 1)
  expect(host.events).toEqual(['ready', '0 units'])
  const request = new StorRequest(1, () => {})
  request.setData(80 * 4096, 4096)
  readBlocks(request, 0, 8)
  host.vsc.submit(request, 0)
  const [packet] = host.take()
  const bytes = new Uint8Array(64).fill(0xff)
  bytes.set([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 52, 0, 0x84, 2])
  host.send(bytes, packet!.tid)
  expect(request.outcome).toBe(StorOutcome.CHECK_CONDITION)
  expect([request.senseLength, request.transferredBytes]).toEqual([20, 4096])
})

test('whatever a host says of its units, the search ends', () => {
  fc.assert(
    fc.property(
      fc.infiniteStream(fc.uint8Array({ minLength: 0, maxLength: 255 })),
      fc.infiniteStream(fc.constantFrom(0x01, 0x04, 0x84, 0x20, 0x06)),
      (datas, statuses) => {
        const host = new RawHost()
        let packets = [host.shakeHands()]
        const { u8 } = host.loopback.memory
        for (let turn = 0; turn < 5000 && packets.length > 0; turn += 1) {
          for (const packet of packets) {
            const data = datas.next().value ?? new Uint8Array(0)
            u8.fill(0, 10 * 4096, 11 * 4096)
            u8.set(data, 10 * 4096)
            const bytes = new Uint8Array(64)
            const srbStatus = statuses.next().value ?? 1
            bytes.set([
              1,
              0,
              0,
              0,
              0,
              0,
              0,
              0,
              0,
              0,
              0,
              0,
              52,
              0,
              srbStatus,
              srbStatus === 1 ? 0 : 2,
            ])
            bytes[24] = data.length
            host.send(bytes, packet.tid)
          }
          packets = host.take()
        }
        expect(packets).toEqual([])
        expect(host.events.at(-1)).toContain('units')
      },
    ),
    { numRuns: 30 },
  )
})
