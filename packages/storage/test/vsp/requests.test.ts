import { describe, expect, test } from 'vitest'
import { StorOperation } from '@guestyard/storage/protocol'
import { FakeTarget } from '../support/fake-target.ts'
import { RawGuest, answerText, readCdb, srb, writeCdb } from '../support/raw-guest.ts'

const TEST_UNIT_READY = [0, 0, 0, 0, 0, 0]
const INQUIRY = [0x12, 0, 0, 0, 36, 0]
const PAGE = 4096

interface Subject {
  readonly target: FakeTarget
  readonly guest: RawGuest
  /** The answers after what was written. */
  readonly answers: () => string[]
}

function subject(): Subject {
  const target = new FakeTarget()
  const guest = new RawGuest({ vsp: { target } }).shakeHands()
  return {
    target,
    guest,
    answers: () => {
      guest.loopback.pump()
      return guest.receive().map(answerText)
    },
  }
}

function mappedPages(guest: RawGuest): number {
  const { domains } = guest.loopback.iommu.inspect()
  return domains.reduce((sum, domain) => sum + domain.mappedPages, 0)
}

test('a block goes to the disk and comes back, at any offset in its page', () => {
  const { guest, answers } = subject()
  const { u8 } = guest.loopback.memory
  u8.fill(0xab, 40 * PAGE + 512, 40 * PAGE + 1024)
  guest.writeDirect(srb(writeCdb(3, 1), { direction: 0, length: 512 }), 1, [[512, 512, [40]]])
  guest.writeDirect(srb(readCdb(3, 1), { direction: 1, length: 512 }), 2, [[7, 512, [41]]])
  expect(answers()).toEqual(['0 1 0 512', '0 1 0 512'])
  const at = 41 * PAGE + 7
  expect([u8[at - 1], u8[at], u8[at + 511], u8[at + 512]]).toEqual([0, 0xab, 0xab, 0])
})

test('a transfer of the largest size goes over pages in no order', () => {
  const target = new FakeTarget()
  target.units.set(
    0,
    new Uint8Array(512 * 1024).map((_, index) => (index >> 9) & 0xff),
  )
  const guest = new RawGuest({ vsp: { target } }).shakeHands()
  const pfns = Array.from({ length: 65 }, (_, page) => 300 - page * 2)
  const cdb = readCdb(256, 512)
  guest.writeDirect(srb(cdb, { direction: 1, length: 256 * 1024 }), 1, [[100, 256 * 1024, pfns]])
  guest.loopback.pump()
  expect(guest.receive().map(answerText)).toEqual([`0 1 0 ${256 * 1024}`])
  const { u8 } = guest.loopback.memory
  const byteAt = (offset: number): number => {
    const from = offset + 100
    return u8[pfns[Math.floor(from / PAGE)]! * PAGE + (from % PAGE)]!
  }
  for (let block = 0; block < 512; block += 1) {
    expect(byteAt(block * 512)).toBe((block + 256) & 0xff)
    expect(byteAt(block * 512 + 511)).toBe((block + 256) & 0xff)
  }
})

describe('what a target says becomes', () => {
  test('success, with the bytes that moved', () => {
    const { guest, answers } = subject()
    guest.writeDirect(srb(INQUIRY, { direction: 1, length: 255 }), 1, [[0, 255, [40]]])
    expect(answers()).toEqual(['0 1 0 36'])
  })

  test('a check condition with sense, as much as the guest has room for', () => {
    const { guest, answers } = subject()
    for (const senseLength of [20, 18, 14, 0]) {
      guest.write(srb([0x5a, 0, 0, 0, 0, 0, 0, 0, 0, 0], { senseLength }), 1)
    }
    expect(answers()).toEqual([
      'c0000185 84 2 0 5/20/0',
      'c0000185 84 2 0 5/20/0',
      'c0000185 84 2 0 5/20/0',
      'c0000185 4 2 0',
    ])
  })

  test('no such unit: an invalid LUN at path 0, an invalid target elsewhere', () => {
    const { guest, answers } = subject()
    guest.write(srb(TEST_UNIT_READY, { lun: 9 }), 1)
    guest.write(srb(TEST_UNIT_READY, { path: 3 }), 2)
    expect(answers()).toEqual(['c00000c0 20 2 0', 'c00000c0 21 2 0'])
  })
})

describe('a request that runs', () => {
  test('is answered when it has ended, in any order, and holds its pages until then', () => {
    const { target, guest, answers } = subject()
    target.holds = true
    const before = mappedPages(guest)
    for (const tid of [1, 2, 3]) {
      const packet = srb(readCdb(0, 1), { direction: 1, length: 512 })
      guest.writeDirect(packet, tid, [[0, 512, [40 + tid]]])
    }
    expect(answers()).toEqual([])
    expect(mappedPages(guest)).toBe(before + 3)
    target.release(3, true)
    guest.vsp.wake()
    guest.loopback.pump()
    const tids = guest.receive().map(({ tid }) => tid)
    expect(tids.toSorted((a, b) => a - b)).toEqual([1, 2, 3])
    expect(mappedPages(guest)).toBe(before)
  })

  test('is polled no more than its disk asks for', () => {
    const { target, guest, answers } = subject()
    target.holds = true
    guest.write(srb(TEST_UNIT_READY), 1)
    expect(answers()).toEqual([])
    expect(guest.vsp.nextDeadlineMs()).toBe(Number.POSITIVE_INFINITY)
    expect(guest.loopback.server.arm()).toBe(false)
    target.deadlineMs = 250
    expect(guest.vsp.nextDeadlineMs()).toBe(250)
    target.release()
    guest.loopback.pump()
    expect(guest.receive()).toEqual([])
    guest.vsp.wake()
    expect(answers()).toEqual(['0 1 0 0'])
    expect(guest.vsp.nextDeadlineMs()).toBe(Number.POSITIVE_INFINITY)
  })

  test('whose disk is due at once keeps its controller awake', () => {
    const { target, guest } = subject()
    target.holds = true
    guest.write(srb(TEST_UNIT_READY), 1)
    guest.loopback.pump()
    target.deadlineMs = 0
    guest.vsp.wake()
    expect(guest.loopback.server.arm()).toBe(true)
    target.deadlineMs = Number.POSITIVE_INFINITY
    expect(guest.loopback.server.arm()).toBe(false)
  })

  test('ends what other channels wait for, though they sleep', () => {
    const { target, guest } = subject()
    guest.ask(StorOperation.CREATE_SUB_CHANNELS, [1, 0])
    const [sub] = guest.subChannels
    target.holds = true
    guest.write(srb(TEST_UNIT_READY), 5, 1, sub)
    guest.loopback.pump()
    target.holds = false
    target.release()
    // The primary's own request finds the ended one on its poll, not woken by anybody.
    target.holds = true
    guest.write(srb(TEST_UNIT_READY), 6)
    guest.loopback.pump()
    target.release()
    guest.write(srb(TEST_UNIT_READY), 7)
    guest.loopback.pump()
    expect(guest.receive(sub).map(({ tid }) => tid)).toEqual([5])
  })
})

describe('a reset', () => {
  for (const [operation, told] of [
    [StorOperation.RESET_BUS, 'all'],
    [StorOperation.RESET_ADAPTER, 'all'],
    [StorOperation.RESET_LUN, '0:0:0'],
  ] as const) {
    test(`${told} by operation ${operation} ends requests before it is answered`, () => {
      const { target, guest } = subject()
      target.holds = true
      guest.write(srb(TEST_UNIT_READY), 1)
      guest.write(srb(TEST_UNIT_READY), 2)
      guest.loopback.pump()
      const packet = srb([], { senseLength: 0 })
      packet[0] = operation
      guest.send(packet, 3)
      const seen = guest.receive()
      expect(seen.map(answerText)).toEqual(['c0000120 2 0 0', 'c0000120 2 0 0', '0 0 0 0'])
      expect(seen.map(({ tid }) => tid).at(-1)).toBe(3)
      expect(target.resets).toEqual([told])
    })
  }

  test('names a unit by path, target and LUN', () => {
    const { target, guest } = subject()
    const packet = srb([], { path: 1, target: 2, lun: 3 })
    packet[0] = StorOperation.RESET_LUN
    guest.send(packet, 1)
    expect(target.resets).toEqual(['1:2:3'])
  })
})

describe('a change of units', () => {
  test('is told once for any number of changes, and not before the handshake is over', () => {
    const target = new FakeTarget()
    const guest = new RawGuest({ vsp: { target } })
    target.changed()
    guest.shakeHands()
    expect(guest.receive()).toEqual([])
    target.changed()
    target.changed()
    guest.loopback.pump()
    const seen = guest.receive()
    expect(seen.map(({ isCompletion, tid, operation }) => [isCompletion, tid, operation])).toEqual([
      [false, 0, StorOperation.ENUMERATE_BUS],
    ])
    expect(seen[0]?.bytes.length).toBe(64)
  })

  test('waits for room, and takes none that completions need', () => {
    const target = new FakeTarget()
    const guest = new RawGuest({ vsp: { target }, ringBytes: 4096 }).shakeHands()
    for (let tid = 1; guest.write(srb(TEST_UNIT_READY), tid); tid += 1);
    guest.loopback.pump()
    for (let tid = 100; guest.write(srb(TEST_UNIT_READY), tid); tid += 1);
    guest.loopback.pump()
    for (let change = 0; change < 5; change += 1) {
      target.changed()
      guest.loopback.pump()
    }
    const seen = [...guest.receive(), ...guest.receive(), ...guest.receive()]
    expect(seen.filter(({ operation }) => operation === StorOperation.ENUMERATE_BUS).length).toBe(2)
    expect(seen.filter(({ isCompletion }) => isCompletion).length).toBe(target.executed)
    expect(guest.failures).toEqual([])
  })
})

test('a request that ends one before it, taken in the same poll, has both answered once', () => {
  const { target, guest, answers } = subject()
  target.holds = true
  target.onExecute = () => target.release()
  for (const tid of [1, 2, 3]) guest.write(srb(TEST_UNIT_READY), tid)
  guest.loopback.pump()
  const tids = guest.receive().map(({ tid }) => tid)
  expect(tids.toSorted((a, b) => a - b)).toEqual([1, 2])
  target.release()
  guest.vsp.wake()
  expect(answers()).toEqual(['0 1 0 0'])
  expect(guest.vsp.inspect().channels[0]).toMatchObject({ running: 0, requests: 3 })
})

test('a unit that goes ends what ran on it, on channels that sleep too', () => {
  const { target, guest } = subject()
  guest.ask(StorOperation.CREATE_SUB_CHANNELS, [1, 0])
  const [sub] = guest.subChannels
  target.holds = true
  guest.write(srb(TEST_UNIT_READY), 5, 1, sub)
  guest.loopback.pump()
  // As a target does that gives up what a unit has under way, then tells of the change.
  target.resetAll()
  target.changed()
  guest.loopback.pump()
  expect(guest.receive(sub).map(answerText)).toEqual(['c0000120 2 0 0'])
})

describe('a guest that does not read', () => {
  test('is served as far as its ring has room, and loses nothing when it reads again', () => {
    const target = new FakeTarget()
    const guest = new RawGuest({ vsp: { target }, ringBytes: 4096 }).shakeHands()
    let sent = 0
    for (let round = 0; round < 10; round += 1) {
      while (guest.write(srb(TEST_UNIT_READY), sent + 1)) sent += 1
      guest.loopback.pump()
    }
    expect(target.executed).toBeLessThan(sent)
    const tids: number[] = []
    for (let round = 0; round < 10; round += 1) {
      tids.push(...guest.receive().map(({ tid }) => tid))
    }
    expect(tids).toEqual(Array.from({ length: sent }, (_, index) => index + 1))
    expect(target.executed).toBe(sent)
  })

  test('has no more running than its ring and the limit allow', () => {
    const target = new FakeTarget()
    target.holds = true
    const guest = new RawGuest({ vsp: { target, requestsPerChannel: 5 } }).shakeHands()
    for (let tid = 1; tid <= 20; tid += 1) guest.write(srb(TEST_UNIT_READY), tid)
    guest.loopback.pump()
    expect(target.held.length).toBe(5)
    const tids: number[] = []
    for (let round = 0; round < 4; round += 1) {
      target.release()
      guest.vsp.wake()
      guest.loopback.pump()
      tids.push(...guest.receive().map(({ tid }) => tid))
    }
    expect(tids.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, n) => n + 1))
  })
})

describe('close with requests that run', () => {
  test('gives them up, and their pages, before the guest is told', () => {
    const { target, guest } = subject()
    target.holds = true
    const packet = srb(readCdb(0, 1), { direction: 1, length: 512 })
    guest.writeDirect(packet, 1, [[0, 512, [40]]])
    guest.loopback.pump()
    guest.loopback.client.close(guest.channel)
    guest.loopback.pump()
    expect([guest.channel.state, target.aborted]).toEqual(['closed', 1])
    expect(guest.loopback.server.devicesInUse).toBe(0)
    expect(mappedPages(guest)).toBe(0)
  })

  test('waits for a disk that does not let go, and is over when it has', () => {
    const { target, guest } = subject()
    target.holds = true
    target.clings = true
    const packet = srb(readCdb(0, 1), { direction: 1, length: 512 })
    guest.writeDirect(packet, 1, [[0, 512, [40]]])
    guest.loopback.pump()
    guest.loopback.client.close(guest.channel)
    guest.loopback.pump()
    expect([guest.channel.state, guest.vsp.inspect().closing]).toEqual(['closing', 1])
    expect(guest.loopback.server.devicesInUse).toBe(1)
    target.deadlineMs = 70
    expect(guest.vsp.nextDeadlineMs()).toBe(70)
    target.release()
    guest.vsp.wake()
    guest.loopback.pump()
    expect([guest.channel.state, guest.vsp.inspect().closing]).toEqual(['closed', 0])
    expect(mappedPages(guest)).toBe(0)
    target.holds = false
    guest.open()
    guest.shakeHands()
    guest.write(srb(TEST_UNIT_READY), 1)
    guest.loopback.pump()
    expect(guest.receive().map(answerText)).toEqual(['0 1 0 0'])
  })
})
