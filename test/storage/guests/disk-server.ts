// A guest that does with its disks what its host asks.

import type { Guest, GuestDisk } from '@guestyard/child-partition'

interface Asked {
  readonly disk: number | string
  readonly block?: number
  readonly count?: number
  /** Every byte of what is written. */
  readonly fill?: number
  /** By way of pages of the guest's own RAM. */
  readonly dma?: boolean
}

/** What a host gets to know of a disk. */
function describe(disk: GuestDisk): object {
  const { address, kind, blockBytes, blockCount, readOnly, canDiscard, isPresent } = disk
  return { address, kind, blockBytes, blockCount, readOnly, canDiscard, isPresent }
}

export async function main(guest: Guest): Promise<void> {
  const { disks, dma } = guest
  guest.expose({
    list: async () => (await disks.ready()).map(describe),
    write: async (data) => {
      const { disk, block = 0, count = 1, fill = 0, dma: isDma = false } = data as Asked
      const found = await disks.get(disk)
      const lengthBytes = count * found.blockBytes
      if (!isDma) return found.write(block, new Uint8Array(lengthBytes).fill(fill))
      const buffer = dma.alloc(lengthBytes)
      const bytes = buffer.bytes.subarray(0, lengthBytes).fill(fill)
      await found.write(block, { ...buffer, bytes })
      buffer.free()
    },
    read: async (data) => {
      const { disk, block = 0, count = 1 } = data as Asked
      return (await disks.get(disk)).read(block, count)
    },
    flush: async (data) => (await disks.get((data as Asked).disk)).flush(),
    discard: async (data) => {
      const { disk, block = 0, count = 1 } = data as Asked
      await (await disks.get(disk)).discard(block, count)
    },
    zero: async (data) => {
      const { disk, block = 0, count = 1 } = data as Asked
      await (await disks.get(disk)).writeZeroes(block, count)
    },
    /** Reads and writes without end, several at a time. Tells once when it has begun. */
    churn: async (data) => {
      const disk = await disks.get((data as Asked).disk)
      const work = async (block: number): Promise<never> => {
        for (let round = 0; ; round += 1) {
          await disk.write(block, new Uint8Array(8 * disk.blockBytes).fill(round))
          if (round === 0 && block === 0) guest.report('at work')
          if (round % 16 === block) await disk.flush()
          await disk.read(block, 8)
        }
      }
      await Promise.all([0, 8, 16, 24].map(work))
    },
    /** The thread ends, with requests under way. */
    crash: () => process.exit(7),
    /** The bus is left at once, with requests under way. */
    leave: () => {
      guest.vmbus.unload()
      return new Promise(() => setTimeout(() => process.exit(0), 50))
    },
    /** Reads without end, until one fails: why. Tells once when it has begun. */
    readUntilFailure: async (data) => {
      const disk = await disks.get((data as Asked).disk)
      guest.report('reading')
      for (;;) {
        try {
          await disk.read(0, 8)
        } catch (error) {
          return (error as Error).message
        }
      }
    },
  })
  void (async () => {
    for await (const { is, disk } of disks.events) guest.report({ is, address: disk.address })
  })()
  await new Promise<void>((resolve) => {
    guest.signal.addEventListener('abort', () => resolve())
  })
}
