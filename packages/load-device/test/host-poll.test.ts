// What one poll of the host's end does at most, and what it notices before it sleeps.

import { RingFault } from '@guestyard/ring'
import { expect, test } from 'vitest'
import { LoadMode } from '@guestyard/load-device/protocol'
import { HostEnd } from './host-end.ts'

const MIB = 1024 * 1024
const BUDGET = 256
const LARGE_BYTES = 64 * 1024
/** 4 KiB count as much as a packet. */
const LARGE_UNITS = 1 + LARGE_BYTES / 4096

const INBOUND: readonly LoadMode[] = [LoadMode.SINK, LoadMode.ECHO]
for (const mode of INBOUND) {
  test(`a poll takes fewer large packets than small ones, and counts their bytes (mode ${mode})`, () => {
    const end = new HostEnd(16 * MIB)
    end.setup(mode, LARGE_BYTES)
    end.program.poll(BUDGET)
    let sent = 0
    while (sent < 200 && end.data(sent, LARGE_BYTES)) sent += 1
    expect(sent).toBe(200)
    const perPoll: number[] = []
    let units = 0
    for (let before = 0; before < sent; before = end.handled) {
      const done = end.program.poll(BUDGET)
      units += done
      perPoll.push(end.handled - before)
      if (done === 0) break
    }
    expect(end.handled).toBe(sent)
    // An echo copies each byte twice. Beyond the budget there may be one drain of the arena.
    const copies = mode === LoadMode.ECHO ? 2 : 1
    const packetUnits = 1 + copies * (LARGE_UNITS - 1)
    expect(Math.max(...perPoll)).toBeLessThanOrEqual(BUDGET / packetUnits + 8)
    expect(units).toBeGreaterThanOrEqual(sent * (packetUnits - 1))
  })
}

test('a source writes no more of large packets in a poll than of small ones in bytes', () => {
  const end = new HostEnd(16 * MIB)
  end.setup(LoadMode.SOURCE, LARGE_BYTES, 1024)
  end.program.poll(BUDGET)
  expect(end.receive()).toBe(1)
  const done = end.program.poll(BUDGET)
  const packets = end.receive()
  expect(packets).toBeGreaterThan(0)
  expect(packets).toBeLessThanOrEqual(BUDGET / LARGE_UNITS + 8)
  expect(done).toBeGreaterThanOrEqual(packets * LARGE_UNITS)
})

test('small packets count one each, nearly', () => {
  const end = new HostEnd(MIB)
  end.setup(LoadMode.SINK, 64)
  end.program.poll(BUDGET)
  for (let sequence = 0; sequence < 200; sequence += 1) end.data(sequence, 64)
  const done = end.program.poll(BUDGET)
  expect(done).toBeGreaterThanOrEqual(200)
  expect(done).toBeLessThan(206)
})

test('a ring found dead while the program falls asleep is reported there and then', () => {
  const end = new HostEnd(4096)
  end.setup(LoadMode.ECHO, 16)
  end.program.poll(BUDGET)
  // The guest reads no echo: some of the last packets stay in the batch, and nothing looks at its ring before a wake-up.
  for (let sequence = 0; sequence < 95; sequence += 1) end.data(sequence, 16)
  end.program.poll(BUDGET)
  for (let sequence = 95; sequence < 115; sequence += 1) end.data(sequence, 16)
  expect(end.program.poll(BUDGET)).toBeGreaterThan(0)
  expect(end.failures).toEqual([])
  Atomics.store(end.controlWords, 3, 8)
  Atomics.store(end.controlWords, 0, 3)
  expect(end.program.arm()).toBe(false)
  expect(end.failures).toEqual([RingFault.BAD_WRITE_INDEX])
  // Told once; the program is over.
  expect(end.program.poll(BUDGET)).toBe(0)
  expect(end.failures.length).toBe(1)
})
