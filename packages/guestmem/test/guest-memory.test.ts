import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { GuestMemory, PageList, wasm } from '@guestyard/guestmem'
import fc from 'fast-check'
import { expect, test } from 'vitest'

const SIZE = 1 << 17

test('RAM begins as zeros, and what is written is read', () => {
  const memory = GuestMemory.create({ sizeBytes: SIZE })
  expect(memory.u8.every((byte) => byte === 0)).toBe(true)
  for (const length of [1, 64, 65, 4096]) {
    const from = Uint8Array.from({ length }, (_, i) => i * 3 + length)
    expect(memory.write(SIZE - length, from)).toBe(true)
    const to = new Uint8Array(length + 2)
    expect(memory.read(SIZE - length, to, 1, length)).toBe(true)
    expect(to.subarray(1, 1 + length)).toEqual(from)
  }
})

test('an address a guest chose is RAM or is not, and never throws', () => {
  const memory = GuestMemory.create({ sizeBytes: SIZE })
  const buffer = new Uint8Array(16)
  const number = fc.oneof(
    fc.double(),
    fc.integer(),
    fc.bigInt({ min: 0n, max: 2n ** 64n }).map(Number),
    fc.nat(SIZE + 16),
  )
  fc.assert(
    fc.property(number, fc.nat(16), (gpa, length) => {
      const inside = Number.isFinite(gpa) && gpa >= 0 && gpa + length <= SIZE
      expect(memory.contains(gpa, length)).toBe(inside)
      if (!Number.isInteger(gpa)) return
      expect(memory.read(gpa, buffer, 0, length)).toBe(inside)
      expect(memory.write(gpa, buffer, 0, length)).toBe(inside)
      expect(memory.fill(gpa, 0, length)).toBe(inside)
    }),
  )
})

test('a length that overflows is not RAM', () => {
  const memory = GuestMemory.create({ sizeBytes: SIZE })
  expect(memory.contains(8, Infinity)).toBe(false)
  expect(memory.contains(8, -1)).toBe(false)
  expect(memory.contains(Number.NaN, 1)).toBe(false)
})

test('RAM grows without moving, up to its largest size', () => {
  const memory = GuestMemory.create({ sizeBytes: SIZE, maximumBytes: 2 * SIZE })
  const other = GuestMemory.attach(memory.memory)
  const old = memory.u8
  memory.u8[5] = 42
  expect(memory.grow(SIZE)).toBe(true)
  expect(memory.sizeBytes).toBe(2 * SIZE)
  expect(memory.u8[5]).toBe(42)
  old[6] = 43
  expect(memory.u8[6]).toBe(43)
  // Whoever asks for what he does not have finds what another thread has added.
  expect(other.sizeBytes).toBe(SIZE)
  expect(other.contains(SIZE, 1)).toBe(true)
  expect(other.u8.length).toBe(2 * SIZE)
  expect(other.contains(2 * SIZE, 1)).toBe(false)
  expect(memory.grow(SIZE)).toBe(false)
})

test('RAM that another thread grew by itself is taken as it is, zeroed where it was to be new', () => {
  const memory = GuestMemory.create({ sizeBytes: SIZE, maximumBytes: 4 * SIZE })
  const other = GuestMemory.attach(memory.memory)
  other.grow(2 * SIZE)
  other.u8.fill(7)
  expect(memory.extend(SIZE, 2 * SIZE)).toBe(true)
  expect([memory.u8[SIZE - 1], memory.u8[SIZE], memory.u8[2 * SIZE - 1]]).toEqual([7, 0, 0])
  expect(memory.u8[2 * SIZE]).toBe(7)
  expect(memory.extend(2 * SIZE, 4 * SIZE)).toBe(true)
  expect(memory.sizeBytes).toBe(4 * SIZE)
  expect(memory.u8.subarray(2 * SIZE).every((byte) => byte === 0)).toBe(true)
  expect(memory.extend(4 * SIZE, 5 * SIZE)).toBe(false)
})

test('sizes that are not ours to make are our own mistake', () => {
  expect(() => GuestMemory.create({ sizeBytes: 4096 })).toThrow('64 KiB')
  expect(() => GuestMemory.create({ sizeBytes: 2 * SIZE, maximumBytes: SIZE })).toThrow('larger')
  expect(() => GuestMemory.attach(new wasm.Memory({ initial: 1 }))).toThrow('shared')
})

test('another thread attaches to the same RAM', async () => {
  const memory = GuestMemory.create({ sizeBytes: SIZE })
  memory.u8[100] = 1
  const worker = new Worker(new URL('./memory-worker.ts', import.meta.url), {
    workerData: memory.memory,
  })
  expect((await once(worker, 'message'))[0]).toEqual({ sizeBytes: SIZE, seen: 1 })
  expect(memory.u8[101]).toBe(2)
  await worker.terminate()
})

test('a page list takes any pages of RAM, and none that are not', () => {
  const memory = GuestMemory.create({ sizeBytes: SIZE })
  const list = PageList.from(memory, [3, 4, 9, 9, 0])!
  expect([list.pageCount, list.lengthBytes, list.contiguous]).toEqual([5, 20480, false])
  expect(list.addressOf(4096 * 2 + 7)).toBe(9 * 4096 + 7)
  expect(list.runLengthAt(100)).toBe(8192 - 100)
  expect(list.runLengthAt(8192)).toBe(4096)
  expect(PageList.from(memory, [31])).toBeDefined()
  for (const bad of [32, -1, 0.5, Number.NaN, 2 ** 40]) {
    expect(PageList.from(memory, [0, bad])).toBeUndefined()
  }
  expect(PageList.contiguous(memory, 30, 2)!.contiguous).toBe(true)
  expect(PageList.contiguous(memory, 31, 2)).toBeUndefined()
})

test('a slice is a page list of its own', () => {
  const memory = GuestMemory.create({ sizeBytes: SIZE })
  const list = PageList.from(memory, [3, 4, 9])!
  expect([...list.slice(1, 2).pfns]).toEqual([4, 9])
  expect(list.slice(0, 2).contiguous).toBe(true)
  expect(() => list.slice(2, 2)).toThrow('inside')
  expect(() => list.addressOf(3 * 4096)).toThrow('inside')
  expect(() => list.runLengthAt(-1)).toThrow('inside')
})

test('RAM between a processor’s rooms is seen alone, and moves nothing outside of it', () => {
  const rooms = { belowBytes: 1 << 16, aboveBytes: 1 << 16 }
  const memory = GuestMemory.create({ sizeBytes: SIZE, rooms })
  const all = new Uint8Array(memory.memory.buffer)
  expect([all.length, memory.sizeBytes, memory.baseBytes]).toEqual([
    SIZE + rooms.belowBytes,
    SIZE,
    rooms.belowBytes,
  ])
  const twin = GuestMemory.attachAt(memory.memory, rooms.belowBytes, SIZE)
  expect(twin.write(0, Uint8Array.of(1))).toBe(true)
  expect(memory.fill(SIZE - 1, 2, 1)).toBe(true)
  memory.kernel.copy(8, SIZE - 1, 1)
  Atomics.store(memory.i32, 1, 3)
  expect([all[rooms.belowBytes], all[rooms.belowBytes + 4], all[rooms.belowBytes + 8]]).toEqual([
    ...[1, 3, 2],
  ])
  expect([twin.view.getUint8(SIZE - 1), all.at(-1)]).toEqual([2, 2])
  expect(memory.contains(SIZE, 1)).toBe(false)
})

test('RAM between rooms does not grow, whatever its processor adds behind it', () => {
  const memory = GuestMemory.create({
    sizeBytes: SIZE,
    rooms: { belowBytes: 1 << 16, aboveBytes: 1 << 16 },
  })
  memory.memory.grow(1)
  memory.refresh()
  expect(memory.contains(SIZE - 1, 2)).toBe(false)
  expect(memory.grow(1 << 16)).toBe(false)
  expect(memory.extend(SIZE, SIZE + (1 << 16))).toBe(false)
  expect(memory.sizeBytes).toBe(SIZE)
})
