// The host's services against a guest that may do anything, and against the drivers.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { TestClock, openService } from '@guestyard/integration-services/testing'
import { HeartbeatVsc, ShutdownVsc, TimeSyncVsc } from '@guestyard/integration-services/vsc'
import type { HostTime, ShutdownOrder } from '@guestyard/integration-services/vsc'
import {
  HeartbeatVsp,
  IntegrationHost,
  ShutdownVsp,
  TimeSyncVsp,
  heartbeatOffer,
  shutdownOffer,
  timeSyncOffer,
} from '@guestyard/integration-services/vsp'
import { RawGuest } from './raw-guest.ts'

const BEAT_BYTES = 40

function rawHeartbeat() {
  const clock = new TestClock()
  const heartbeat = new HeartbeatVsp({ clock })
  return { clock, heartbeat, guest: new RawGuest(heartbeatOffer, heartbeat) }
}

function body(sequence: number, state = 0): Uint8Array {
  const bytes = new Uint8Array(BEAT_BYTES)
  const words = new Uint32Array(bytes.buffer)
  words[0] = sequence
  words[2] = state
  return bytes
}

/** A guest that has agreed on the highest versions, and the first request. */
function agreedHeartbeat() {
  const raw = rawHeartbeat()
  raw.guest.agree(raw.guest.asked(), [3, 0], [3, 0])
  return { ...raw, first: raw.guest.asked() }
}

describe('agreeing on versions', () => {
  test('the host offers frameworks 1.0 and 3.0 and the versions of its service, ascending', () => {
    const { guest } = rawHeartbeat()
    const { type, bytes } = guest.asked()
    expect(type).toBe(0)
    expect([...new Uint16Array(bytes.slice(20).buffer)]).toEqual([
      2, 2, 0, 0, 1, 0, 3, 0, 1, 0, 3, 0,
    ])
  })

  test('a guest that knows none of them is asked nothing, and never again', () => {
    const { clock, guest, heartbeat } = rawHeartbeat()
    guest.answer(guest.asked(), new Uint8Array(24))
    expect(heartbeat.inspect().state).toBe('unsupported')
    expect(heartbeat.nextDeadlineMs).toBe(Infinity)
    clock.advance(60_000, heartbeat, guest.loopback)
    expect(guest.receive()).toEqual([])
  })

  test('requests carry the versions that the guest chose', () => {
    const { guest } = rawHeartbeat()
    guest.agree(guest.asked(), [1, 0], [1, 0])
    const { bytes } = guest.asked()
    expect([...bytes.slice(0, 10)]).toEqual([1, 0, 0, 0, 1, 0, 1, 0, 0, 0])
  })

  test.for<[string, Uint8Array, string]>([
    ['two frameworks', Uint8Array.of(2, 0, 1, 0, 0, 0, 0, 0), 'a choice of several versions'],
    [
      'a version that was not offered',
      Uint8Array.of(1, 0, 1, 0, 0, 0, 0, 0, 3, 0, 0, 0, 9, 0, 0, 0),
      'a version that was not offered',
    ],
  ])('a guest that chooses %s fails its channel', ([, choice, reason]) => {
    const { guest, heartbeat } = rawHeartbeat()
    guest.answer(guest.asked(), choice)
    expect(guest.failures).toEqual([`heartbeat: the guest sent ${reason}`])
    expect(heartbeat.inspect().state).toBe('closed')
  })

  test('a channel that failed may be opened anew, and versions are agreed on afresh', () => {
    const { guest, heartbeat } = agreedHeartbeat()
    guest.send(new Uint8Array(3))
    expect(guest.failures).toEqual(['heartbeat: the guest sent a message without a header'])
    guest.loopback.client.close(guest.channel)
    guest.loopback.pump()
    const [offer] = guest.loopback.client.offers()
    const driver = new HeartbeatVsc()
    guest.loopback.client.open(offer!, driver, { opened: (channel) => driver.bind(channel) })
    guest.loopback.pump()
    expect(driver.version).toBe('3.0')
    expect(heartbeat.inspect()).toMatchObject({ state: 'ready', version: '3.0', answered: 1 })
  })
})

describe('heartbeat', () => {
  test('a driver answers every two seconds and says that it is healthy', () => {
    const clock = new TestClock()
    const heartbeat = new HeartbeatVsp({ clock })
    expect(heartbeat.status).toBe('no-contact')
    const driver = new HeartbeatVsc()
    const { loopback } = openService(heartbeatOffer, heartbeat, driver, { scatter: true })
    clock.advance(20_000, heartbeat, loopback)
    expect(driver.beats).toBe(11)
    expect(heartbeat.inspect()).toEqual({
      state: 'ready',
      version: '3.0',
      ignored: 0,
      status: 'ok',
      applications: 'healthy',
      answered: 11,
      wrong: 0,
    })
  })

  test('a guest that stops answering is lost after ten seconds, owes one answer, and is found again by it', () => {
    const { clock, heartbeat, guest, first } = agreedHeartbeat()
    guest.answer(first, body(1))
    expect(heartbeat.status).toBe('ok')
    clock.advance(9_999, heartbeat, guest.loopback)
    expect(heartbeat.status).toBe('ok')
    clock.advance(1, heartbeat, guest.loopback)
    expect(heartbeat.status).toBe('lost-communication')
    clock.advance(60_000, heartbeat, guest.loopback)
    guest.answer(guest.asked(), body(2))
    expect(heartbeat.status).toBe('ok')
    // What was owed meanwhile comes at once, and is one request.
    expect(guest.asked().type).toBe(1)
  })

  test('deadlines go on while a guest answers nothing, so that none of them lies in the past', () => {
    const { clock, heartbeat, guest } = agreedHeartbeat()
    for (let second = 0; second < 30; second++) {
      clock.advance(1_000, heartbeat, guest.loopback)
      expect(heartbeat.nextDeadlineMs).toBeGreaterThan(clock.nowMs)
    }
  })

  test.for([0, 2, 0xffff_ffff])('the number %i in answer to 0 is no sign of life', (sequence) => {
    const { heartbeat, guest, first } = agreedHeartbeat()
    guest.answer(first, body(sequence))
    expect(heartbeat.inspect()).toMatchObject({ status: 'no-contact', answered: 0, wrong: 1 })
  })

  test.for([
    [1, 'healthy'],
    [2, 'critical'],
    [3, 'stopped'],
    [0, 'unknown'],
    [77, 'unknown'],
  ] as const)('state %i of applications is %s', ([state, name]) => {
    const { heartbeat, guest, first } = agreedHeartbeat()
    guest.answer(first, body(1, state))
    expect(heartbeat.inspect().applications).toBe(name)
  })

  test('an answer that nobody waits for is counted and skipped', () => {
    const { heartbeat, guest, first } = agreedHeartbeat()
    guest.answer(first, body(1))
    guest.answer(first, body(1))
    guest.answer({ ...first, bytes: first.bytes.with(16, 200) }, body(1))
    expect(heartbeat.inspect()).toMatchObject({ answered: 1, wrong: 0, ignored: 2 })
    expect(guest.failures).toEqual([])
  })

  test('a request from the guest, and an answer shorter than its request, fail the channel', () => {
    const asking = agreedHeartbeat()
    asking.guest.send(asking.first.bytes)
    expect(asking.guest.failures).toEqual(['heartbeat: the guest sent a request'])
    const short = agreedHeartbeat()
    short.guest.answer({ ...short.first, bytes: short.first.bytes.slice(0, 59) })
    expect(short.guest.failures).toEqual(['heartbeat: the guest sent a short answer'])
  })
})

describe('shutdown', () => {
  function withDriver(canDo: (order: ShutdownOrder) => boolean) {
    const shutdown = new ShutdownVsp()
    const events: string[] = []
    const driver = new ShutdownVsc({
      canDo,
      onOrder: ({ action, force, timeoutSeconds }) =>
        events.push(`guest: ${action} ${force} ${timeoutSeconds}`),
    })
    const open = openService(shutdownOffer, shutdown, driver)
    return { shutdown, events, driver, ...open }
  }

  test('the guest is told to act once its answer is on its way', () => {
    const { shutdown, events, loopback, driver } = withDriver(() => true)
    expect(driver.version).toBe('3.2')
    shutdown.request({ action: 'restart', force: true, timeoutSeconds: 5 }, (outcome) =>
      events.push(`host: ${outcome}`),
    )
    loopback.pump()
    expect(events).toEqual(['guest: restart true 5', 'host: accepted'])
    expect(shutdown.inspect()).toMatchObject({ asked: 1, accepted: 1 })
  })

  test('a guest that can not do it says so, and does nothing', () => {
    const { shutdown, events, loopback } = withDriver(({ action }) => action !== 'hibernate')
    shutdown.request({ action: 'hibernate' }, (outcome) => events.push(outcome))
    loopback.pump()
    expect(events).toEqual(['refused'])
  })

  test('one request at a time; without a guest there is nobody to ask', () => {
    const nobody: string[] = []
    new ShutdownVsp().request({}, (outcome) => nobody.push(outcome))
    expect(nobody).toEqual(['unavailable'])
    const { shutdown, loopback } = withDriver(() => true)
    const outcomes: string[] = []
    shutdown.request({}, (outcome) => outcomes.push(`first ${outcome}`))
    shutdown.request({}, (outcome) => outcomes.push(`second ${outcome}`))
    loopback.pump()
    expect(outcomes).toEqual(['second unavailable', 'first accepted'])
  })

  test('a guest that goes away without an answer leaves nobody waiting', () => {
    const shutdown = new ShutdownVsp()
    const guest = new RawGuest(shutdownOffer, shutdown)
    guest.agree(guest.asked(), [3, 0], [3, 1])
    const outcomes: string[] = []
    shutdown.request({}, (outcome) => outcomes.push(outcome))
    guest.loopback.pump()
    expect(guest.asked().bytes.length).toBe(20 + 2060)
    guest.loopback.client.close(guest.channel)
    guest.loopback.pump()
    expect(outcomes).toEqual(['gone'])
  })
})

describe('time synchronisation', () => {
  const START_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 678)

  function timed() {
    const clock = new TestClock()
    const timeSync = new TimeSyncVsp({
      clock,
      unixMs: () => START_MS + clock.nowMs,
      referenceTime: () => clock.nowMs * 10_000,
    })
    return { clock, timeSync }
  }

  test('the first time is to set the clock by, then samples come every five seconds, or with the next heartbeat', () => {
    const { clock, timeSync } = timed()
    const times: HostTime[] = []
    const driver = new TimeSyncVsc((time) => times.push(time))
    const { loopback } = openService(timeSyncOffer, timeSync, driver)
    clock.advance(10_000, timeSync, loopback)
    expect(times).toEqual([
      { unixMs: START_MS, referenceTime: 0, isSync: true },
      { unixMs: START_MS + 6_000, referenceTime: 60_000_000, isSync: false },
      { unixMs: START_MS + 10_000, referenceTime: 100_000_000, isSync: false },
    ])
    timeSync.resync()
    loopback.pump()
    expect(times.at(-1)?.isSync).toBe(true)
    expect(timeSync.inspect()).toMatchObject({ version: '4.0', syncs: 2, samples: 2, refused: 0 })
  })

  test('below 4.0 the time has its older, longer body', () => {
    const { timeSync } = timed()
    const guest = new RawGuest(timeSyncOffer, timeSync)
    guest.agree(guest.asked(), [3, 0], [3, 0])
    const { bytes } = guest.asked()
    expect(bytes.length).toBe(20 + 28)
    expect(bytes[20 + 24]).toBe(1)
  })

  test('a guest that does not take the time is counted', () => {
    const { timeSync } = timed()
    const guest = new RawGuest(timeSyncOffer, timeSync)
    guest.agree(guest.asked(), [3, 0], [4, 0])
    guest.answer(guest.asked(), new Uint8Array(0), 0x8000_4005)
    expect(timeSync.inspect().refused).toBe(1)
  })
})

test('a deadline is announced when the versions are agreed on, and each time that one has come', () => {
  const clock = new TestClock()
  const announced: number[] = []
  const host = new IntegrationHost({
    clock,
    onDeadline: (atMs) => announced.push(atMs),
    unixMs: () => 0,
    referenceTime: () => 0,
  })
  expect(host.nextDeadlineMs).toBe(Infinity)
  const { loopback } = openService(heartbeatOffer, host.heartbeat, new HeartbeatVsc())
  expect(announced).toEqual([2_000])
  clock.advance(2_000, host, loopback)
  expect(announced).toEqual([2_000, 4_000])
  loopback.server.reset()
  expect(host.nextDeadlineMs).toBe(Infinity)
})

test('times are told at moments at which a heartbeat is due, two of them in ten seconds', () => {
  const clock = new TestClock()
  const host = new IntegrationHost({ clock, unixMs: () => 0, referenceTime: () => 0 })
  const told: number[] = []
  const { loopback } = openService(
    timeSyncOffer,
    host.timeSync,
    new TimeSyncVsc(() => told.push(clock.nowMs)),
  )
  clock.advance(300, host, loopback)
  host.timeSync.resync()
  loopback.pump()
  clock.advance(29_700, host, loopback)
  expect(told).toEqual([0, 300, 6_000, 10_000, 16_000, 20_000, 26_000, 30_000])
})

test('guests that came at different times are asked at the same ones', () => {
  const clock = new TestClock()
  const services = [0, 300, 1_999].map((atMs) => {
    clock.nowMs = atMs
    const heartbeat = new HeartbeatVsp({ clock })
    openService(heartbeatOffer, heartbeat, new HeartbeatVsc())
    return heartbeat
  })
  expect(services.map((service) => service.nextDeadlineMs)).toEqual([2_000, 2_000, 2_000])
  expect(services.map((service) => service.inspect().answered)).toEqual([1, 1, 1])
})

test('packets of arbitrary bytes never throw, and the service works for the next guest', () => {
  const message = fc.uint8Array({ maxLength: 96 })
  const answer = fc.record({ body: fc.uint8Array({ maxLength: 40 }), status: fc.nat(3) })
  fc.assert(
    fc.property(fc.array(fc.oneof(message, answer), { maxLength: 12 }), (packets) => {
      const { clock, heartbeat, guest } = rawHeartbeat()
      let last = guest.asked()
      for (const packet of packets) {
        if (packet instanceof Uint8Array) guest.send(packet)
        else guest.answer(last, packet.body, packet.status)
        clock.advance(2_000, heartbeat, guest.loopback)
        last = guest.receive().at(-1) ?? last
      }
      guest.loopback.client.close(guest.channel)
      guest.loopback.pump()
      const next = new HeartbeatVsc()
      const [offer] = guest.loopback.client.offers()
      guest.loopback.client.open(offer!, next, { opened: (channel) => next.bind(channel) })
      guest.loopback.pump()
      expect(heartbeat.inspect().state).toBe('ready')
      expect(next.beats).toBe(1)
    }),
    { numRuns: 40 },
  )
})
