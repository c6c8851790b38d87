// What every uplink keeps to.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import type { SwitchPort } from '@guestyard/network'
import type { Uplink } from '@guestyard/network/uplinks'

import { Lan } from '../support/lan.ts'

export interface UplinkCase {
  readonly uplink: Uplink
  /** Has something come from outside: a frame or more into the switch. */
  fromOutside(): void
}

/** A broadcast frame of a guest's. */
function broadcast(bytes: number): Uint8Array {
  const frame = new Uint8Array(bytes)
  frame.fill(0xff, 0, 6)
  frame.set([0, 0x15, 0x5d, 0, 0, 1], 6)
  frame.set([0x88, 0xb5], 12)
  return frame
}

export function uplinkContract(kind: string, make: (lan: Lan) => UplinkCase): void {
  describe(`an uplink: ${kind}`, () => {
    function scene(): { lan: Lan; guest: SwitchPort; one: UplinkCase; woken: { times: number } } {
      const lan = new Lan()
      const guest = lan.plug()
      const one = make(lan)
      const woken = { times: 0 }
      const port = lan.switch.connect(one.uplink, { name: 'uplink' })
      one.uplink.attach(port, () => (woken.times += 1))
      return { lan, guest, one, woken }
    }

    test('says what it is', () => {
      expect(scene().one.uplink.kind).toBe(kind)
    })

    test('takes frames of any length, and sends nothing meanwhile', () => {
      const { lan } = scene()
      for (const bytes of [14, 60, 1_514, 9_014, 65_550]) {
        expect(lan.send(0, broadcast(bytes))).toEqual([])
      }
    })

    test('takes bytes of any kind for a frame, whomever they are for', () => {
      const bytes = fc.uint8Array({ minLength: 14, maxLength: 120 })
      fc.assert(
        fc.property(fc.array(bytes, { maxLength: 30 }), (frames) => {
          const { lan, one } = scene()
          for (const frame of frames) {
            // IPv4 and ARP most of the time, to everybody: so that they are looked into.
            frame.fill(0xff, 0, 6)
            frame[6]! &= 0xfe
            if (frame[13]! < 200) frame.set([8, frame[13]! < 100 ? 0 : 6], 12)
            lan.send(0, frame)
            one.uplink.poll(lan.clock.nowMs)
          }
          one.uplink.close()
        }),
        { numRuns: 60 },
      )
    })

    test('wakes its owner for what comes, and sends it when it is polled, not before', () => {
      const { lan, one, woken } = scene()
      const before = woken.times
      one.fromOutside()
      lan.clock.nowMs += 1
      expect(lan.got).toEqual([])
      one.uplink.poll(lan.clock.nowMs)
      expect(lan.got.length).toBeGreaterThan(0)
      expect(woken.times).toBeGreaterThan(before)
    })

    test('keeps few frames of a flood that finds nobody to poll', () => {
      const { lan, one } = scene()
      for (let n = 0; n < 5_000; n += 1) one.fromOutside()
      lan.clock.nowMs += 1_000
      one.uplink.poll(lan.clock.nowMs)
      expect(lan.got.length).toBeLessThanOrEqual(512)
    })

    test('is closed twice without harm, and can be looked at afterwards', () => {
      const { lan, one } = scene()
      one.uplink.close()
      one.uplink.close()
      lan.send(0, broadcast(60))
      expect(JSON.parse(JSON.stringify(one.uplink.inspect()))).toEqual(expect.any(Object))
    })
  })
}
