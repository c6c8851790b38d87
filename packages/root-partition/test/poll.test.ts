// What one poll of the root takes on: the engine's event loop waits for as long.

import { GuestMemory } from '@guestyard/guestmem'
import { HVCALL_POST_MESSAGE, HvStatus, MSR_PAGE_ENABLE, SyntheticMsr } from '@guestyard/hvdef'
import { VirtualProcessor } from '@guestyard/hypervisor'
import { expect, test } from 'vitest'

import { RootPartition } from '../src/index.ts'

const VMBUS_CONNECTION = 4
const MESSAGES = 16
const GUESTS = 20
const INPUT_AT = 0x2000

const silent = { ring: () => {} }
const clock = { nowMs: 0, now100ns: 0 }

test('a poll takes the messages of a few guests, since one may be as dear as opening a channel, and all get their turn', () => {
  const messages = new Map<number, number>()
  const root = new RootPartition({
    clock,
    clockOriginMs: 0,
    logicalProcessors: 2,
    openDoorbells: () => ({
      vp: silent,
      vpBuffer: new SharedArrayBuffer(64),
      rootBuffer: new SharedArrayBuffer(64),
    }),
    closeDoorbells: () => {},
    onBusEvent: (id) => messages.set(id, (messages.get(id) ?? 0) + 1),
  })
  for (let guest = 0; guest < GUESTS; guest += 1) postAll(root)
  const taken = (): number => [...messages.values()].reduce((sum, count) => sum + count, 0)
  const perPoll: number[] = []
  for (let before = -1; taken() > before && perPoll.length < 100;) {
    before = taken()
    root.poll(256)
    perPoll.push(taken() - before)
  }
  // The poll's share, and what the last guest had beyond it.
  expect(Math.max(...perPoll)).toBeLessThanOrEqual(32 + MESSAGES)
  expect([...messages.values()]).toEqual(Array.from({ length: GUESTS }, () => MESSAGES))
})

/** A guest that posts as many messages as there is room for, each a nonsense that its bus reports. */
function postAll(root: RootPartition): void {
  const name = 'guest'
  const created = root.createPartition({ name, memoryBytes: 1 << 20, vpCount: 1, weight: 100 })
  if (!created.ok) throw new Error(created.reason)
  const memory = GuestMemory.attach(created.start.memory)
  const { handles } = created.start.vps[0]!
  const vp = new VirtualProcessor(handles, { memory, wakeRoot: silent, clock })
  vp.writeMsr(SyntheticMsr.GUEST_OS_ID, 1, 0x8000_0000)
  vp.writeMsr(SyntheticMsr.HYPERCALL, 0x1000 | MSR_PAGE_ENABLE, 0)
  const words = memory.i32
  words[INPUT_AT >> 2] = VMBUS_CONNECTION
  words[(INPUT_AT >> 2) + 2] = 1
  words[(INPUT_AT >> 2) + 3] = 8
  words[(INPUT_AT >> 2) + 4] = 0xffff
  for (let message = 0; message < MESSAGES; message += 1) {
    const status = vp.hypercall(HVCALL_POST_MESSAGE, 0, INPUT_AT, 0, 0, 0)
    if (status !== HvStatus.SUCCESS) throw new Error(`message ${message} got status ${status}`)
  }
}
