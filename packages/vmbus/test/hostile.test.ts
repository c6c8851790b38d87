// A peer of random bytes: nothing throws, nothing grows without bound, and the other end of the house works on.

import { VmbusMessageType, VmbusVersion } from '@guestyard/hvdef'
import { GuestMemory } from '@guestyard/guestmem'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DEFAULT_LIMITS } from '@guestyard/vmbus/server'
import { EchoDevice } from './support/echo.ts'
import { nth } from './support/fake-device.ts'
import { RawGuest } from './support/raw-guest.ts'
import { RawHost } from './support/raw-host.ts'

const memory = GuestMemory.create({ sizeBytes: 1024 * 1024 })

/** Bytes that look like a message: a type, then small numbers where ids and counts are. */
const plausible = fc
  .tuple(
    fc.integer({ min: 0, max: 31 }),
    fc.array(fc.oneof(fc.integer({ min: 0, max: 6 }), fc.nat({ max: 0xffff_ffff })), {
      minLength: 1,
      maxLength: 58,
    }),
    fc.integer({ min: 0, max: 3 }),
  )
  .map(([type, words, cut]) => {
    const view = new DataView(new ArrayBuffer((words.length + 2) * 4))
    view.setUint32(0, type, true)
    for (const [index, word] of words.entries()) view.setUint32(8 + index * 4, word, true)
    return new Uint8Array(view.buffer, 0, view.byteLength - cut)
  })

const message = fc.oneof(plausible, plausible, plausible, fc.uint8Array({ maxLength: 260 }))

test('a server that is sent arbitrary messages and signals answers or counts them', () => {
  const limits = { ...DEFAULT_LIMITS, gpadls: 8, gpadlListBytes: 4096, queuedMessages: 8 }
  fc.assert(
    fc.property(
      fc.array(message, { minLength: 5, maxLength: 80, size: 'max' }),
      fc.array(fc.integer({ min: -5, max: 4000 })),
      fc.boolean(),
      (messages, signals, reads) => {
        const guest = new RawGuest({ memory, limits })
        for (const n of [1, 2, 3]) guest.server.offer(nth(n), new EchoDevice())
        guest.connect()
        guest.openFresh(1, 7)
        if (!reads) guest.room = 5
        for (const bytes of messages) {
          guest.post(bytes)
          for (const relid of signals) guest.server.receiveSignal(relid)
          guest.server.poll(64)
          const seen = guest.server.inspect()
          expect(seen.gpadls.listBytes).toBeLessThanOrEqual(limits.gpadlListBytes)
          expect(seen.gpadls.accepted + seen.gpadls.inProgress).toBeLessThanOrEqual(limits.gpadls)
          expect(seen.channels).toHaveLength(3)
        }
        // Whatever it has done, contact begins anew.
        guest.room = Number.POSITIVE_INFINITY
        guest.server.poll(64)
        guest.connect()
        expect(guest.server.inspect()).toMatchObject({
          connection: 'connected',
          version: VmbusVersion.IRON,
          relidsInUse: 3,
          devicesInUse: 0,
          gpadls: { accepted: 0, inProgress: 0, listBytes: 0 },
        })
      },
    ),
  )
})

test('a ring that the guest scribbles on costs that channel alone', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat({ max: 4 * 4096 - 1 }), fc.nat({ max: 255 })), { maxLength: 60 }),
      fc.array(fc.tuple(fc.nat({ max: 31 }), fc.nat({ max: 0xffff_ffff })), { minLength: 1 }),
      (scribbles, words) => {
        const guest = new RawGuest({ memory })
        const devices = [new EchoDevice(), new EchoDevice()]
        for (const [n, device] of devices.entries()) guest.server.offer(nth(n), device)
        guest.connect()
        guest.memory.u8.fill(0, 16 * 4096, 24 * 4096)
        guest.openFresh(1, 7)
        guest.gpadl(2, 8, [20, 21, 22, 23])
        guest.open(2, 8)
        for (const [at, byte] of scribbles) guest.memory.u8[16 * 4096 + at] = byte
        for (const [word, value] of words) {
          guest.memory.i32[(16 + 2 * (word & 1)) * 1024 + (word >> 1)] = value
          guest.server.receiveSignal(1)
          guest.server.poll(1000)
          guest.server.arm()
        }
        guest.server.receiveSignal(2)
        guest.server.poll(100)
        expect(devices[1]?.programs[0]?.closed).toBe(false)
        expect(guest.stateOf(2)).toBe('open')
        expect(guest.stateOf(1)).toBe('open')
        guest.close(1)
        expect(guest.stateOf(1)).toBe('closed')
        const scratch = guest.memory.u8.slice(16 * 4096, 20 * 4096)
        guest.server.receiveSignal(1)
        guest.server.poll(100)
        expect(guest.memory.u8.slice(16 * 4096, 20 * 4096)).toEqual(scratch)
        guest.server.reset()
        expect(guest.server.devicesInUse).toBe(0)
      },
    ),
  )
})

test('a client that is sent arbitrary messages and events drops or takes them', () => {
  fc.assert(
    fc.property(
      fc.array(message, { maxLength: 60, size: 'max' }),
      fc.array(fc.integer({ min: -5, max: 4000 })),
      (messages, events) => {
        const host = new RawHost()
        host.connect()
        const offer = host.offer(1)
        const channel = host.client.open(
          offer,
          { sendBytes: 4096, receiveBytes: 4096 },
          {
            opened: () => undefined,
          },
        )
        if (channel !== undefined) host.created(1, channel.ringGpadlId)
        host.openResult(1)
        for (const bytes of messages) {
          host.send(bytes)
          for (const relid of events) host.client.receiveEvent(relid)
          host.client.poll(64)
        }
        host.plain(VmbusMessageType.ALLOFFERS_DELIVERED)
        expect(host.client.inspect().channels.length).toBeLessThanOrEqual(1)
        expect(['connected', 'disconnected']).toContain(host.client.state)
      },
    ),
    { numRuns: 100 },
  )
})
