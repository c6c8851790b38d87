/** What a frame takes of the heap, from driver to driver over both buses and the switch, in one thread. */

import { getHeapStatistics } from 'node:v8'

import { VirtualSwitch } from '@guestyard/network'
import { openAdapter } from '@guestyard/network/testing'

const BATCH = 32
const ADDRESSES = ['02:00:00:00:00:01', '02:00:00:00:00:02'] as const
const HEAD = Uint8Array.of(2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5)

/** Heap bytes of a frame, of so many of this length, after as many unmeasured. */
export function switchHeap(bytes: number, frames: number): number {
  const lan = new VirtualSwitch({ clock: { now: () => 0 } })
  const got = { frames: 0 }
  const one = openAdapter(lan, ADDRESSES[0])
  const two = openAdapter(lan, ADDRESSES[1], { onFrame: () => (got.frames += 1) })
  const { u8 } = one.loopback.memory
  const serve = (): void => {
    for (let sent = 0; sent < frames; sent += BATCH) {
      const wanted = got.frames + BATCH
      for (let index = 0; index < BATCH; index += 1) {
        const gpa = one.vsc.place()
        for (let at = 0; at < HEAD.length; at += 1) u8[gpa + at] = HEAD[at]!
        one.vsc.submit(bytes)
      }
      while (got.frames < wanted) {
        one.loopback.step()
        two.loopback.step()
      }
    }
  }
  serve()
  const before = getHeapStatistics().total_allocated_bytes
  serve()
  return (getHeapStatistics().total_allocated_bytes - before) / frames
}
