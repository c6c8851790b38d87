// Reads 4 KiB at a time from a disk, one read after the other, and says how long each took: over whatever controller its disk is behind,
// and, for an IDE disk, by ports alone.

import type { Guest, GuestDisk } from '@guestyard/child-partition'

export interface ReadRequest {
  /** `scsi0:0`, `ide0:0`; `pio`: the first IDE disk by ports alone. */
  readonly path: string
  readonly reads: number
}

/** Microseconds of each read, in order. */
export type ReadTimes = readonly number[]

const BYTES = 4096
const BLOCKS = 8

export async function main(guest: Guest): Promise<void> {
  guest.expose({
    read: async (data) => {
      const { path, reads } = data as ReadRequest
      const disk = await guest.disks.get(path === 'pio' ? 'ide0:0' : path)
      return path === 'pio' ? byPorts(guest, disk, reads) : byDriver(guest, disk, reads)
    },
  })
  await new Promise<void>((resolve) => {
    guest.signal.addEventListener('abort', () => resolve())
  })
}

async function byDriver({ dma }: Guest, disk: GuestDisk, reads: number): Promise<ReadTimes> {
  const buffer = dma.alloc(BYTES)
  const times: number[] = []
  for (let read = 0; read < reads; read++) {
    const block = blockOf(disk, read)
    const from = performance.now()
    await disk.read(block, buffer)
    times.push((performance.now() - from) * 1000)
    check(buffer.bytes, block)
  }
  buffer.free()
  return times
}

/** READ SECTORS EXT with the interrupt masked: Status is read once a sector, the data four bytes at a time. */
async function byPorts({ devices }: Guest, disk: GuestDisk, reads: number): Promise<ReadTimes> {
  await devices.portOut(0x3f6, 1, 2)
  const bytes = new Uint8Array(BYTES)
  const view = new DataView(bytes.buffer)
  const times: number[] = []
  for (let read = 0; read < reads; read++) {
    const block = blockOf(disk, read)
    const from = performance.now()
    await devices.portOut(0x1f6, 1, 0x40)
    for (const value of [0, BLOCKS]) await devices.portOut(0x1f2, 1, value)
    for (let at = 0; at < 3; at++) {
      await devices.portOut(0x1f3 + at, 1, 0)
      await devices.portOut(0x1f3 + at, 1, (block >>> (at * 8)) & 0xff)
    }
    await devices.portOut(0x1f7, 1, 0x24)
    for (let at = 0; at < BYTES; at += 4) {
      if (at % 512 === 0 && ((await devices.portIn(0x1f7, 1)) & 0x88) !== 0x08) {
        throw new Error('the drive has no data')
      }
      view.setUint32(at, await devices.portIn(0x1f0, 4), true)
    }
    times.push((performance.now() - from) * 1000)
    check(bytes, block)
  }
  await devices.portIn(0x1f7, 1)
  await devices.portOut(0x3f6, 1, 0)
  return times
}

/** Anywhere, and the same for every path. */
function blockOf(disk: GuestDisk, read: number): number {
  const pieces = disk.blockCount / BLOCKS
  return ((read * 7919) % pieces) * BLOCKS
}

/** Every block of the image begins with its number. */
function check(bytes: Uint8Array, block: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const found = view.getUint32(0, true)
  if (found !== block) throw new Error(`block ${block} has the data of block ${found}`)
}
