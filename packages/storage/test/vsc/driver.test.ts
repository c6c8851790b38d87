import { describe, expect, test } from 'vitest'
import { openStorage } from '@guestyard/storage/testing'
import type { OpenStorage } from '@guestyard/storage/testing'
import {
  StorOutcome,
  StorRequest,
  failureText,
  readBlocks,
  synchronizeCache,
  testUnitReady,
  writeBlocks,
} from '@guestyard/storage/vsc'
import { BLOCK, FakeTarget } from '../support/fake-target.ts'

/** A request with room for `pages`, and how often it has ended. */
function counted(pages = 1): { request: StorRequest; ends: () => number } {
  let ends = 0
  const request = new StorRequest(pages, () => {
    ends += 1
  })
  return { request, ends: () => ends }
}

function ready(storage: OpenStorage, request: StorRequest, lane = 0): void {
  testUnitReady(request)
  storage.vsc.submit(request, lane)
}

test('the driver comes up, finds its unit, and opens as many channels as it was told to', () => {
  const storage = openStorage(new FakeTarget(), { subChannels: 2 })
  expect(storage.events).toEqual(['ready', '1 units'])
  expect(storage.vsc.laneCount).toBe(3)
  expect(storage.vsc.maxTransferBytes).toBe(256 * 1024)
  expect(storage.units).toMatchObject([
    { lun: 0, blockCount: 128, blockBytes: 512, physicalBlockBytes: 4096, vendor: 'Msft' },
  ])
})

test('blocks go to the disk and come back on every channel', () => {
  const target = new FakeTarget()
  const storage = openStorage(target, { subChannels: 2 })
  const { u8 } = storage.loopback.memory
  const { request, ends } = counted(2)
  const gpa = storage.allocate(8192) + 100
  for (let lane = 0; lane < 3; lane += 1) {
    u8.fill(lane + 1, gpa, gpa + 4096)
    request.setData(gpa, 4096)
    writeBlocks(request, lane * 8, 8, false)
    expect(storage.run(request, lane).outcome).toBe(StorOutcome.OK)
    u8.fill(0, gpa, gpa + 4096)
    readBlocks(request, lane * 8, 8)
    expect(storage.run(request, lane).transferredBytes).toBe(4096)
    expect([u8[gpa - 1], u8[gpa], u8[gpa + 4095], u8[gpa + 4096]]).toEqual([
      0,
      lane + 1,
      lane + 1,
      0,
    ])
    expect(target.units.get(0)![lane * 8 * BLOCK]).toBe(lane + 1)
  }
  expect(ends()).toBe(6)
})

test('a request that its owner submits again as it ends goes on and on', () => {
  const target = new FakeTarget()
  const storage = openStorage(target)
  let left = 1000
  const request = new StorRequest(1, (ended) => {
    left -= 1
    if (left > 0) storage.vsc.submit(ended, 0)
  })
  ready(storage, request)
  storage.loopback.pump()
  expect([left, request.outcome]).toEqual([0, StorOutcome.OK])
})

test('more requests than tags and ring have room for wait, and go out in order', () => {
  const target = new FakeTarget()
  const storage = openStorage(target, { ringBytes: 4096, depth: 4 })
  const order: number[] = []
  const before = target.executed
  target.onExecute = (request) => order.push(request.lun)
  const requests = Array.from({ length: 200 }, (_, index) => {
    const { request } = counted()
    request.lun = index
    ready(storage, request)
    return request
  })
  storage.loopback.pump()
  expect(target.executed - before).toBe(200)
  expect(order).toEqual(Array.from({ length: 200 }, (_, index) => index))
  expect(requests.filter((request) => request.isPending)).toEqual([])
})

describe('a failure is decoded', () => {
  const failures: readonly (readonly [
    string,
    StorOutcome,
    (storage: OpenStorage, request: StorRequest) => void,
  ])[] = [
    [
      'illegal request 2100',
      StorOutcome.CHECK_CONDITION,
      (storage, request) => {
        request.setData(storage.allocate(512), 512)
        readBlocks(request, 5000, 1)
      },
    ],
    [
      'no logical unit',
      StorOutcome.NO_LOGICAL_UNIT,
      (_, request) => {
        request.lun = 7
        testUnitReady(request)
      },
    ],
    [
      'the host refused the request',
      StorOutcome.REFUSED,
      (storage, request) => {
        request.setData(storage.loopback.memory.sizeBytes, 512)
        readBlocks(request, 0, 1)
      },
    ],
  ]
  for (const [text, outcome, fill] of failures) {
    test(text, () => {
      const storage = openStorage(new FakeTarget())
      const { request } = counted()
      fill(storage, request)
      storage.run(request)
      expect([request.outcome, failureText(request)]).toEqual([outcome, text])
    })
  }
})

describe('a unit attention', () => {
  test('is counted, and its request sent again', () => {
    const target = new FakeTarget()
    const storage = openStorage(target)
    target.sense = [6, 0x29, 0]
    target.senseTimes = 2
    const { request, ends } = counted()
    testUnitReady(request)
    storage.run(request)
    expect([request.outcome, request.retries, ends()]).toEqual([StorOutcome.OK, 2, 1])
    expect(storage.vsc.attentions).toBe(2)
    expect(storage.events).toEqual(['ready', '1 units'])
  })

  test('that does not end is the request’s failure', () => {
    const target = new FakeTarget()
    const storage = openStorage(target)
    target.sense = [6, 0x29, 0]
    target.senseTimes = 100
    const { request, ends } = counted()
    testUnitReady(request)
    storage.run(request)
    expect([failureText(request), ends()]).toEqual(['unit attention 2900', 1])
  })

  for (const sense of [
    [6, 0x3f, 0x0e],
    [6, 0x2a, 9],
  ] as const) {
    test(`${sense[1].toString(16)}/${sense[2].toString(16)} has units looked for again`, () => {
      const target = new FakeTarget()
      const storage = openStorage(target)
      target.units.set(0, new Uint8Array(128 * 1024))
      target.sense = sense
      const { request } = counted()
      testUnitReady(request)
      storage.run(request)
      expect(storage.events).toEqual(['ready', '1 units', '1 units'])
      expect(storage.units[0]?.blockCount).toBe(256)
    })
  }
})

test('units that come and go are found when the host says so', () => {
  const target = new FakeTarget()
  const storage = openStorage(target)
  target.units.set(5, new Uint8Array(4096))
  target.changed()
  storage.loopback.pump()
  expect(storage.units.map((unit) => unit.lun)).toEqual([0, 5])
  target.units.delete(0)
  target.changed()
  target.changed()
  storage.loopback.pump()
  expect(storage.units.map((unit) => unit.lun)).toEqual([5])
})

test('a reset ends what runs, and is told afterwards', () => {
  const target = new FakeTarget()
  const storage = openStorage(target)
  target.holds = true
  const { request, ends } = counted()
  ready(storage, request)
  storage.loopback.pump()
  storage.vsc.reset()
  storage.vsc.reset()
  storage.loopback.pump()
  expect([request.outcome, ends(), target.resets]).toEqual([StorOutcome.ABORTED, 1, ['all']])
  expect(storage.events.at(-1)).toBe('reset')
})

test('a request that takes too long is told once, and may end all the same', () => {
  const target = new FakeTarget()
  const storage = openStorage(target)
  target.holds = true
  storage.clock.nowMs = 1000
  const { request, ends } = counted()
  expect(storage.vsc.nextDeadlineMs()).toBe(Number.POSITIVE_INFINITY)
  ready(storage, request)
  storage.loopback.pump()
  expect(storage.vsc.nextDeadlineMs()).toBe(61_000)
  storage.clock.nowMs = 60_999
  storage.vsc.checkDeadlines()
  expect(storage.events.includes('late')).toBe(false)
  storage.clock.nowMs = 61_000
  storage.vsc.checkDeadlines()
  storage.vsc.checkDeadlines()
  expect(storage.events.filter((event) => event === 'late').length).toBe(1)
  expect(storage.vsc.nextDeadlineMs()).toBe(Number.POSITIVE_INFINITY)
  target.release()
  storage.vsp.wake()
  storage.loopback.pump()
  expect([request.outcome, ends()]).toEqual([StorOutcome.OK, 1])
})

test('when the channel closes every request ends, and none before the host has let go', () => {
  const target = new FakeTarget()
  const storage = openStorage(target, { depth: 1 })
  target.holds = true
  target.clings = true
  const first = counted()
  const second = counted()
  ready(storage, first.request)
  ready(storage, second.request)
  storage.loopback.pump()
  storage.loopback.client.close(storage.channel)
  storage.loopback.pump()
  expect([first.ends(), second.ends(), storage.vsc.submit(first.request, 0)]).toEqual([0, 0, false])
  target.release()
  storage.vsp.wake()
  storage.loopback.pump()
  expect([first.request.outcome, second.request.outcome]).toEqual([
    StorOutcome.GONE,
    StorOutcome.GONE,
  ])
  expect([first.ends(), second.ends(), storage.vsc.state]).toEqual([1, 1, 'closed'])
  expect(storage.events.at(-1)).toBe('closed: closed')
})

test('a sub-channel that goes leaves the others, and their requests, alone', () => {
  const target = new FakeTarget()
  const storage = openStorage(target, { subChannels: 1 })
  const { request } = counted()
  synchronizeCache(request)
  expect(storage.run(request, 1).outcome).toBe(StorOutcome.OK)
  expect(storage.vsc.submit(request, 2)).toBe(false)
})
