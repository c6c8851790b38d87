// A channel whose interrupts move from VP to VP while a device sends: what was announced to the one VP is found by the other, and
// nothing is left in the ring with everybody asleep.

import assert from 'node:assert/strict'

import { expect, test } from 'vitest'
import { Kernel } from '@guestyard/child-partition'
import { ManualClock, SingleThread, type Machine } from '@guestyard/engine'
import { GuestMemory } from '@guestyard/guestmem'
import { SyntheticMsr, VMBUS_SINT } from '@guestyard/hvdef'
import { VirtualProcessor } from '@guestyard/hypervisor'
import { KeyboardVsc } from '@guestyard/input/vsc'
import { RootPartition } from '@guestyard/root-partition'

const MIB = 1024 * 1024
const PAGE = 4096
/** Pages below those that the kernel's allocator has. */
const SIM = 8
const SIEF = 9
const VECTOR = 0x60
const ROUNDS = 400

/** The second processor of the guest: it takes the channel's interrupts and hands them to the bus, and does nothing else. */
class SecondVp implements Machine {
  readonly vp: VirtualProcessor
  readonly #memory: GuestMemory
  readonly #kernel: Kernel
  events = 0

  constructor(vp: VirtualProcessor, memory: GuestMemory, kernel: Kernel) {
    this.vp = vp
    this.#memory = memory
    this.#kernel = kernel
    for (const [msr, value] of [
      [SyntheticMsr.SIMP, (SIM * PAGE) | 1],
      [SyntheticMsr.SIEFP, (SIEF * PAGE) | 1],
      [SyntheticMsr.SINT0 + VMBUS_SINT, VECTOR],
      [SyntheticMsr.SCONTROL, 1],
    ] as const) {
      assert(vp.writeMsr(msr, value, 0))
    }
  }

  poll(): number {
    const vector = this.vp.deliver()
    if (vector < 0) return 0
    assert.equal(vector, VECTOR)
    this.vp.acknowledge(vector)
    const first = (SIEF * PAGE + VMBUS_SINT * 256) / 4
    for (let word = 0; word < 64; word += 1) {
      let bits = Atomics.exchange(this.#memory.i32, first + word, 0)
      while (bits !== 0) {
        const bit = 31 - Math.clz32(bits)
        bits &= ~(1 << bit)
        this.events += 1
        this.#kernel.bus.receiveEvent(word * 32 + bit)
      }
    }
    this.vp.endOfInterrupt()
    return 1
  }

  arm(): boolean {
    return this.vp.hasWork
  }

  disarm(): void {}

  nextDeadlineMs(): number {
    return Number.POSITIVE_INFINITY
  }
}

test('a channel moved between VPs with a key on its way, four hundred times, loses none', () => {
  const clock = new ManualClock()
  const silent = { ring: () => {} }
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
    onBusEvent: () => {},
  })
  const spec = { name: 'two', memoryBytes: 4 * MIB, vpCount: 2, weight: 100 }
  const created = root.createPartition(spec)
  if (!created.ok) throw new Error(created.reason)
  const memory = GuestMemory.attach(created.start.memory)
  const [first, second] = created.start.vps.map(
    ({ handles }) => new VirtualProcessor(handles, { memory, wakeRoot: silent, clock }),
  )
  const kernel = new Kernel({
    vp: first!,
    memory,
    placement: 'contiguous',
    clock,
    onBusEvent: () => {},
    wake: () => {},
  })
  expect(kernel.start()).toMatchObject({ ok: true })
  const other = new SecondVp(second!, memory, kernel)
  const threads = new SingleThread({ machines: [root, kernel, other] })
  threads.settle()

  const keys: number[] = []
  const driver = new KeyboardVsc({ onKey: (makeCode) => void keys.push(makeCode) })
  let answered = 0
  const channel = kernel.bus.open(
    kernel.bus.offers().find((one) => one.classId === driver.classId)!,
    { sendBytes: driver.sendBytes, receiveBytes: driver.receiveBytes },
    {
      opened: (open) => driver.bind(open),
      modified: (_channel, vp) => void (answered += vp === undefined ? 0 : 1),
    },
  )!
  threads.settle()
  expect(driver.state).toBe('active')

  const { keyboard } = root.devicesOf(created.start.partitionId)!
  const pressed: number[] = []
  let moves = 0
  let vp = 0
  for (let round = 0; round < ROUNDS; round += 1) {
    pressed.push((round % 80) + 1)
    expect(keyboard.pressKey(pressed.at(-1)!, 0)).toBe(true)
    // The key is on its way to this or that point of it when the route changes: in the ring, in the inbox, taken.
    for (let turn = 0; turn < round % 5; turn += 1) threads.turn()
    vp = 1 - vp
    if (kernel.bus.modifyChannel(channel, vp)) moves += 1
    // Everything sleeps: the key has come, or nobody will ever look for it.
    threads.settle()
    expect(keys).toEqual(pressed)
  }
  expect([moves, answered]).toEqual([ROUNDS, ROUNDS])
  // Both took their part.
  expect(other.events).toBeGreaterThan(ROUNDS / 4)
  // Some were caught on their way: it is what the test is about.
  const [partition] = root.inspect().partitions
  expect(Number(partition?.interrupts.moved)).toBeGreaterThan(0)
  expect(partition?.interrupts).toMatchObject({ refused: 0, stray: 0 })
})
