import { GuestMemory } from '@guestyard/guestmem'
import { DiskOperation, DiskRequest, DiskStatus, MemoryDisk } from '@guestyard/storage'
import { expect, test } from 'vitest'

// RAM that is all of its memory, and RAM behind a processor's own pages.
test.each([
  GuestMemory.create({ sizeBytes: 1 << 16 }),
  GuestMemory.create({ sizeBytes: 1 << 16, rooms: { belowBytes: 1 << 17, aboveBytes: 1 << 16 } }),
])('blocks travel between guest RAM and the disk, piece by piece', (guest) => {
  const disk = new MemoryDisk({ sizeBytes: 8192 })
  const request = new DiskRequest(2)
  guest.u8.fill(0xab, 4096, 4608)
  request.operation = DiskOperation.WRITE
  request.block = 3
  request.blockCount = 2
  request.data.beginGuest(guest)
  request.data.add(4096, 512)
  request.data.add(0, 512)
  disk.submit(request)
  expect(request.status).toBe(DiskStatus.OK)
  expect([disk.bytes[1535], disk.bytes[1536], disk.bytes[2047], disk.bytes[2048]]).toEqual([
    0, 0xab, 0xab, 0,
  ])
  request.operation = DiskOperation.READ
  request.block = 2
  request.data.beginGuest(guest)
  request.data.add(8192, 1024)
  disk.submit(request)
  expect([guest.u8[8703], guest.u8[8704], guest.u8[9215]]).toEqual([0, 0xab, 0xab])
})

test('zeroing takes no more of a poll than requests that move as much', () => {
  const disk = new MemoryDisk({ sizeBytes: 1 << 24 })
  disk.bytes.fill(1)
  const requests = [new DiskRequest(0), new DiskRequest(0)]
  for (const request of requests) {
    request.operation = DiskOperation.WRITE_ZEROES
    request.blockCount = 1 << 14
    disk.submit(request)
  }
  // What is short ends when it comes, and of what is long no more is done then.
  expect([disk.bytes.indexOf(1), requests[0]!.status]).toEqual([1 << 16, DiskStatus.PENDING])
  expect([disk.poll(256), disk.bytes.indexOf(1)]).toEqual([0, (1 << 22) + (1 << 16)])
  expect([disk.poll(0), disk.bytes.indexOf(1)]).toEqual([0, (1 << 22) + (1 << 16)])
  expect([disk.poll(256), disk.poll(256)]).toEqual([1, 0])
  expect(requests.map(({ status }) => status)).toEqual([DiskStatus.OK, DiskStatus.PENDING])
})

test('zeroing a gibibyte goes on in polls, and can be given up', () => {
  const disk = new MemoryDisk({ sizeBytes: 1 << 30 })
  const request = new DiskRequest(0)
  request.operation = DiskOperation.WRITE_ZEROES
  request.blockCount = 1 << 21
  disk.submit(request)
  expect([request.status, disk.nextDeadlineMs()]).toEqual([DiskStatus.PENDING, 0])
  expect(disk.poll(1)).toBe(0)
  disk.abort(request)
  expect([request.status, disk.nextDeadlineMs()]).toEqual([DiskStatus.ABORTED, Infinity])
})

test('RAM that begins inside its memory is read and written there, and nothing before it', () => {
  const memory = GuestMemory.create({ sizeBytes: 3 << 16 })
  const guest = GuestMemory.attachAt(memory.memory, 1 << 16, 1 << 16)
  const disk = new MemoryDisk({ sizeBytes: 8192 })
  disk.bytes.fill(0xcd)
  const request = new DiskRequest(1)
  request.operation = DiskOperation.READ
  request.blockCount = 2
  request.data.beginGuest(guest)
  request.data.add(512, 1024)
  disk.submit(request)
  const at = (1 << 16) + 512
  expect([memory.u8[512], memory.u8[at - 1], memory.u8[at], memory.u8[at + 1023]]).toEqual([
    0, 0, 0xcd, 0xcd,
  ])
  guest.u8.fill(0x11, 512, 1536)
  request.operation = DiskOperation.WRITE
  disk.submit(request)
  expect([disk.bytes[0], disk.bytes[1023], disk.bytes[1024]]).toEqual([0x11, 0x11, 0xcd])
})

test('a disk takes over the bytes of one that is closed, and of no other', () => {
  const first = new MemoryDisk({ sizeBytes: 8192 })
  first.bytes[4095] = 0xab
  expect(() => new MemoryDisk({ sizeBytes: 8192, bytesOf: first })).toThrow('closed disk')
  first.close()
  expect(() => new MemoryDisk({ sizeBytes: 4096, bytesOf: first })).toThrow('same size')
  expect(new MemoryDisk({ sizeBytes: 8192, bytesOf: first }).bytes[4095]).toBe(0xab)
})
