// A host of an IDE controller for tests: ports, commands and transfers as a driver makes them, written from the specification and apart
// from the driver in src/vsc.

import { GuestMemory } from '@guestyard/guestmem'
import { MemoryDisk } from '@guestyard/storage'
import type { Disk } from '@guestyard/storage'
import { IdeController, type PacketTarget } from '@guestyard/storage/ide'

export const RAM_BYTES: number = 1024 * 1024
export const TABLE = 0x1000
export const DATA = 0x2_0000

export const BSY = 0x80
export const DRDY = 0x40
export const DF = 0x20
export const DSC = 0x10
export const DRQ = 0x08
export const ERR = 0x01

export interface TestDrives {
  readonly disk?: Disk
  readonly slave?: Disk
  readonly dvd?: PacketTarget
}

export class IdeHost {
  readonly memory: GuestMemory = GuestMemory.create({ sizeBytes: RAM_BYTES })
  readonly controller: IdeController
  /** Levels that the primary line took, in order. */
  readonly lines: boolean[] = []
  line = false

  constructor({ disk, slave, dvd }: TestDrives) {
    this.controller = new IdeController({
      memory: {
        memory: this.memory,
        translate: (page) => (page < RAM_BYTES / 4096 ? page : -1),
      },
      onLine: (channel, asserted) => {
        if (channel !== 0) return
        this.line = asserted
        this.lines.push(asserted)
      },
    })
    if (disk !== undefined) this.controller.attachDisk({ channel: 0, device: 0 }, disk)
    if (slave !== undefined) this.controller.attachDisk({ channel: 0, device: 1 }, slave)
    if (dvd !== undefined) this.controller.attachDvd({ channel: 1, device: 0 }, dvd)
  }

  in(port: number, size = 1): number {
    const value = this.controller.read(port, size)
    this.settle()
    return value
  }

  out(port: number, value: number, size = 1): void {
    this.controller.write(port, size, value)
    this.settle()
  }

  /** Polls as long as there is something to do. */
  settle(): void {
    while (this.controller.hasWork) this.controller.poll(16)
    this.controller.poll(1)
  }

  get status(): number {
    return this.in(0x3f6)
  }

  get error(): number {
    return this.in(0x1f1)
  }

  /** LBA28: the registers and the command. */
  command(code: number, lba = 0, count = 1, device = 0xe0, features = 0): void {
    this.out(0x1f6, device | ((lba >>> 24) & 0xf))
    this.out(0x1f1, features)
    this.out(0x1f2, count & 0xff)
    this.out(0x1f3, lba & 0xff)
    this.out(0x1f4, (lba >>> 8) & 0xff)
    this.out(0x1f5, (lba >>> 16) & 0xff)
    this.out(0x1f7, code)
  }

  /** LBA48. */
  commandExt(code: number, lba: number, count: number, features = 0): void {
    const high = Math.floor(lba / 2 ** 24)
    this.out(0x1f6, 0x40)
    this.out(0x1f1, features)
    this.out(0x1f2, count >>> 8)
    this.out(0x1f2, count & 0xff)
    this.out(0x1f3, high & 0xff)
    this.out(0x1f3, lba & 0xff)
    this.out(0x1f4, (high >>> 8) & 0xff)
    this.out(0x1f4, (lba >>> 8) & 0xff)
    this.out(0x1f5, (high >>> 16) & 0xff)
    this.out(0x1f5, (lba >>> 16) & 0xff)
    this.out(0x1f7, code)
  }

  /** What the data register gives, a word at a time. */
  readData(bytes: number, base = 0x1f0): Uint8Array {
    const data = new Uint8Array(bytes)
    for (let at = 0; at < bytes; at += 2) {
      const word = this.in(base, 2)
      data[at] = word
      if (at + 1 < bytes) data[at + 1] = word >>> 8
    }
    return data
  }

  writeData(data: Uint8Array, base = 0x1f0): void {
    for (let at = 0; at < data.length; at += 2) {
      this.out(base, data[at]! | ((data[at + 1] ?? 0) << 8), 2)
    }
  }

  /** A table at `TABLE` of pieces; the last one ends it. */
  table(pieces: readonly (readonly [address: number, bytes: number])[], base = 0xffa0): void {
    pieces.forEach(([address, bytes], index) => {
      const at = TABLE + index * 8
      this.memory.view.setUint32(at, address, true)
      const end = index === pieces.length - 1 ? 0x8000_0000 : 0
      this.memory.view.setUint32(at + 4, ((bytes & 0xffff) | end) >>> 0, true)
    })
    this.out(base + 4, TABLE, 4)
  }

  /** Bus master of a channel: 8 to memory, 0 from it; starts. */
  start(toMemory: boolean, base = 0xffa0): void {
    this.out(base + 2, 6)
    this.out(base, toMemory ? 8 : 0)
    this.out(base, toMemory ? 9 : 1)
  }

  ram(address: number, bytes: number): Uint8Array {
    return this.memory.u8.slice(address, address + bytes)
  }
}

/** A disk whose every byte tells its place. */
export function patternDisk(blocks: number): MemoryDisk {
  const disk = new MemoryDisk({ sizeBytes: blocks * 512, uniqueId: UNIQUE_ID })
  for (let i = 0; i < disk.bytes.length; i++) disk.bytes[i] = patternAt(i)
  return disk
}

function patternAt(position: number): number {
  return ((position >>> 9) * 7 + position * 3 + (position >>> 17)) & 0xff
}

export function pattern(position: number, bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, i) => patternAt(position + i))
}

const UNIQUE_ID: Uint8Array = Uint8Array.from({ length: 16 }, (_, i) => 0xa0 + i)
