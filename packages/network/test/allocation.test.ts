// A frame from one guest's driver over the switch to another's allocates nothing, measured over a hundred thousand.

import { getHeapStatistics } from 'node:v8'
import { expect, test } from 'vitest'
import { VirtualSwitch } from '@guestyard/network'
import { openAdapter } from '@guestyard/network/testing'
import { frameBytes, ipv4, macText, udp } from './support/frames.ts'

const FRAMES = 100_000
const BATCH = 32
/** Compilation takes some, whatever runs; the smallest object a frame would take 1.6 MB. */
const NOISE_BYTES = 1_000_000

test('a frame leaves no garbage on its way', () => {
  const lan = new VirtualSwitch({ clock: { now: () => 0 } })
  const got = { frames: 0 }
  const one = openAdapter(lan, macText(1), {
    vsp: { port: { address: macText(1), dhcpGuard: true, routerGuard: true } },
  })
  const two = openAdapter(lan, macText(2), { onFrame: () => (got.frames += 1) })
  const bytes = frameBytes({
    to: 2,
    from: 1,
    type: 0x800,
    length: 700,
    payload: ipv4(17, udp(1, 2)),
  })
  const { memory } = one.loopback
  const serve = (count: number): void => {
    for (let sent = 0; sent < count; sent += BATCH) {
      for (let index = 0; index < BATCH; index += 1) {
        const gpa = one.vsc.place()
        for (let at = 0; at < bytes.length; at += 1) memory.u8[gpa + at] = bytes[at]!
        one.vsc.submit(bytes.length)
      }
      one.loopback.step()
      one.loopback.step()
      two.loopback.step()
      one.loopback.step()
      two.loopback.step()
    }
    one.loopback.pump()
    two.loopback.pump()
  }
  // Twice: batches are polled more seldom than frames, and their code is compiled later.
  serve(FRAMES)
  serve(FRAMES)
  // A frame's garbage is there every time; code that is compiled again, since other tests ran in this process before, is not.
  const rounds = [1, 2, 3].map(() => {
    const before = getHeapStatistics().total_allocated_bytes
    serve(FRAMES)
    return getHeapStatistics().total_allocated_bytes - before
  })
  expect(Math.min(...rounds)).toBeLessThan(NOISE_BYTES)
  expect(got.frames).toBe(Math.ceil(FRAMES / BATCH) * BATCH * 5)
})
