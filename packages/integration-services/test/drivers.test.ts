// What the guest's drivers make of a host that may do anything.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { IcMessage, IcStatus } from '@guestyard/integration-services/protocol'
import { openService } from '@guestyard/integration-services/testing'
import { HeartbeatVsc, ShutdownVsc } from '@guestyard/integration-services/vsc'
import { heartbeatOffer, shutdownOffer } from '@guestyard/integration-services/vsp'
import { RawHost } from './raw-host.ts'

type Version = [number, number]

const KNOWN_FRAMEWORKS: readonly Version[] = [
  [1, 0],
  [3, 0],
]
const BEAT_BYTES = 40

function heartbeatDriver() {
  const host = new RawHost()
  const driver = new HeartbeatVsc()
  return { host, driver, ...openService(heartbeatOffer, host, driver) }
}

function highest(known: readonly Version[], offered: readonly Version[]): Version | undefined {
  const both = known.filter(([major, minor]) =>
    offered.some(([a, b]) => a === major && b === minor),
  )
  return both.toSorted((one, two) => two[0] - one[0] || two[1] - one[1])[0]
}

test('the highest versions that both know are chosen, in the buffer that came; or counts of zero', () => {
  const version = fc.oneof(
    fc.constantFrom<Version>([1, 0], [3, 0], [4, 0]),
    fc.tuple(fc.nat(5), fc.nat(3)) as fc.Arbitrary<Version>,
  )
  const list = fc.array(version, { maxLength: 8 })
  fc.assert(
    fc.property(list, list, (frameworks, versions) => {
      const { host, loopback, driver } = heartbeatDriver()
      host.offer(frameworks, versions)
      loopback.pump()
      const [answer] = host.answers()
      expect(answer).toMatchObject({ status: 0, flags: 5, tid: '7/4660' })
      const words = [...new Uint16Array(answer!.body.buffer)]
      expect(words).toHaveLength(4 + 2 * (frameworks.length + versions.length))
      const framework = highest(KNOWN_FRAMEWORKS, frameworks)
      const chosen = highest(KNOWN_FRAMEWORKS, versions)
      if (framework === undefined || chosen === undefined) {
        expect(words.slice(0, 2)).toEqual([0, 0])
        expect(driver.version).toBe('')
      } else {
        expect(words.slice(0, 8)).toEqual([1, 1, 0, 0, ...framework, ...chosen])
        expect(driver.version).toBe(chosen.join('.'))
      }
    }),
    { numRuns: 60 },
  )
})

test('more than a hundred versions, or more than the packet holds, are refused', () => {
  const { host, loopback, driver } = heartbeatDriver()
  const many = Array.from({ length: 101 }, (): Version => [1, 0])
  host.offer([], many)
  host.ask(IcMessage.NEGOTIATE, Uint8Array.of(2, 0, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0))
  host.ask(IcMessage.NEGOTIATE, Uint8Array.of(1, 0))
  loopback.pump()
  const invalid = IcStatus.INVALID_ARGUMENT
  expect(host.answers().map(({ status }) => status)).toEqual([invalid, invalid, invalid])
  expect(driver.version).toBe('')
})

test('a request before an agreement, of another service, or too short is answered with a status', () => {
  const { host, loopback, driver } = heartbeatDriver()
  host.ask(IcMessage.HEARTBEAT, new Uint8Array(BEAT_BYTES))
  host.offer([[3, 0]], [[3, 0]])
  host.ask(IcMessage.SHUTDOWN, new Uint8Array(BEAT_BYTES))
  host.ask(IcMessage.HEARTBEAT, new Uint8Array(BEAT_BYTES - 1))
  host.ask(IcMessage.HEARTBEAT, new Uint8Array(BEAT_BYTES))
  loopback.pump()
  const statuses = [IcStatus.FAIL, 0, IcStatus.NOT_SUPPORTED, IcStatus.INVALID_ARGUMENT, 0]
  expect(host.answers().map(({ status }) => status)).toEqual(statuses)
  expect(driver.beats).toBe(1)
})

test('the number of a heartbeat is raised by one, over all of its 64 bits', () => {
  const { host, loopback } = heartbeatDriver()
  host.offer([[1, 0]], [[1, 0]])
  host.ask(IcMessage.HEARTBEAT, new Uint8Array(BEAT_BYTES).fill(0xff, 0, 4))
  loopback.pump()
  expect([...host.answers().at(-1)!.body.slice(0, 12)]).toEqual([
    0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0,
  ])
})

test('an answer, and a message without a header, are skipped and counted', () => {
  const { host, loopback, driver } = heartbeatDriver()
  host.ask(IcMessage.HEARTBEAT, new Uint8Array(BEAT_BYTES), 5)
  host.sendRaw(Uint8Array.of(1, 0, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4))
  host.sendRaw(Uint8Array.of(9, 9))
  loopback.pump()
  expect(host.answers()).toEqual([])
  expect(driver.ignored).toBe(3)
})

test('flags that name no action, and an order of less than its full length, are refused', () => {
  const host = new RawHost()
  const orders: string[] = []
  const driver = new ShutdownVsc({
    canDo: () => true,
    onOrder: ({ action }) => orders.push(action),
  })
  const { loopback } = openService(shutdownOffer, host, driver)
  host.offer([[3, 0]], [[3, 2]])
  const order = new Uint8Array(2060)
  order[8] = 6
  const statuses: number[] = []
  // One at a time: neither ring has room for two.
  for (const body of [order, new Uint8Array(2059)]) {
    expect(host.ask(IcMessage.SHUTDOWN, body)).toBe(true)
    loopback.pump()
    statuses.push(...host.answers().map(({ status }) => status))
    loopback.pump()
  }
  expect(statuses).toEqual([0, IcStatus.FAIL, IcStatus.INVALID_ARGUMENT])
  expect(orders).toEqual([])
})

test('a host that asks and never reads brings the driver to rest, and has every answer later', () => {
  const { host, loopback, driver } = heartbeatDriver()
  host.offer([[3, 0]], [[3, 0]])
  let asked = 1
  for (; host.ask(IcMessage.HEARTBEAT, new Uint8Array(BEAT_BYTES)); asked += 1) loopback.pump()
  expect(driver.beats).toBeLessThan(asked - 1)
  let answered = 0
  for (let seen = host.answers(); seen.length > 0; seen = host.answers()) {
    answered += seen.length
    loopback.pump()
  }
  expect(answered).toBe(asked)
  expect(driver.beats).toBe(asked - 1)
})

test('packets of arbitrary bytes never throw, and the driver answers the next request', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.uint8Array({ maxLength: 64 }), fc.constantFrom(6, 11)), {
        maxLength: 20,
      }),
      (packets) => {
        const { host, loopback, driver } = heartbeatDriver()
        for (const [bytes, type] of packets) host.sendRaw(bytes, type)
        loopback.pump()
        host.answers()
        host.offer([[3, 0]], [[1, 0]])
        loopback.pump()
        expect(host.answers()).toHaveLength(1)
        expect(driver.version).toBe('1.0')
      },
    ),
    { numRuns: 40 },
  )
})
