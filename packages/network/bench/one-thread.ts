// What a frame costs from one guest's driver over the switch to another's, both buses and all rings included: one thread, no waiting.
//
//   node packages/network/bench/one-thread.ts

import { getHeapStatistics } from 'node:v8'
import { VirtualSwitch } from '@guestyard/network'
import { openAdapter } from '@guestyard/network/testing'

const FRAMES = 200_000
const ADDRESSES = ['02:00:00:00:00:01', '02:00:00:00:00:02'] as const

const rows: Record<string, number | string>[] = []
for (const batch of [1, 32]) {
  for (const bytes of [64, 1514]) {
    const lan = new VirtualSwitch({ clock: { now: () => 0 } })
    const got = { frames: 0 }
    const one = openAdapter(lan, ADDRESSES[0])
    const two = openAdapter(lan, ADDRESSES[1], { onFrame: () => (got.frames += 1) })
    const { u8, i32 } = one.loopback.memory
    const head = Uint8Array.of(2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5)
    const serve = (count: number): void => {
      for (let sent = 0; sent < count; sent += batch) {
        for (let index = 0; index < batch; index += 1) {
          const gpa = one.vsc.place()
          for (let at = 0; at < head.length; at += 1) u8[gpa + at] = head[at]!
          // What a program would fill in: a word stands for it.
          i32[(gpa + 16) >> 2] = sent
          one.vsc.submit(bytes)
        }
        const wanted = got.frames + batch
        one.loopback.step()
        while (got.frames < wanted) {
          one.loopback.step()
          two.loopback.step()
        }
        one.loopback.step()
        two.loopback.step()
      }
      one.loopback.pump()
      two.loopback.pump()
    }
    serve(FRAMES)
    const before = getHeapStatistics().total_allocated_bytes
    const start = process.cpuUsage()
    serve(FRAMES)
    const { user, system } = process.cpuUsage(start)
    const allocated = getHeapStatistics().total_allocated_bytes - before
    rows.push({
      batch,
      bytes,
      'CPU ns/frame': Math.round(((user + system) * 1e3) / FRAMES),
      'heap B/frame': (allocated / FRAMES).toFixed(2),
    })
  }
}
console.table(rows)
