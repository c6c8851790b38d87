// A guest that works on a disk as a file system does that somebody else has made: it overwrites the blocks of files in pieces of any
// size and order, several at a time, trims what is free, and flushes.

import type { Guest, GuestDisk } from '@guestyard/child-partition'

import { contentOf, type Extent, type FileWork } from '../file-content.ts'

const PIECE_BYTES_MAX = 64 * 1024
const AT_ONCE = 8

export async function main(guest: Guest): Promise<void> {
  guest.expose({
    overwrite: async (data) => {
      const { files, free, fsBlockBytes } = data as FileWork
      const disk = await guest.disks.get(0)
      const pieces = files.flatMap(({ seed, extents }) => piecesOf(extents, seed, fsBlockBytes))
      // Any order, the same each time.
      const shuffled = pieces.toSorted((a, b) => (a.order === b.order ? 0 : a.order - b.order))
      const queue = shuffled.values()
      await Promise.all(Array.from({ length: AT_ONCE }, () => write(guest, disk, queue)))
      const scale = fsBlockBytes / disk.blockBytes
      for (const { block, count } of free) {
        if (disk.canDiscard) await disk.discard(block * scale, count * scale)
        else await disk.writeZeroes(block * scale, count * scale)
      }
      await disk.flush()
      return pieces.length
    },
  })
  await new Promise<void>((resolve) => {
    guest.signal.addEventListener('abort', () => resolve())
  })
}

interface Piece {
  /** Bytes of the disk. */
  readonly position: number
  readonly lengthBytes: number
  /** Where it lies in its file. */
  readonly offset: number
  readonly seed: number
  readonly order: number
}

function piecesOf(extents: readonly Extent[], seed: number, fsBlockBytes: number): Piece[] {
  const pieces: Piece[] = []
  let word = seed
  let offset = 0
  for (const { block, count } of extents) {
    const bytes = count * fsBlockBytes
    for (let at = 0; at < bytes;) {
      word = (Math.imul(word, 0x0001_9660) + 0x3c6e_f35f) >>> 0
      const blocks = 1 + ((word >>> 16) % (PIECE_BYTES_MAX / fsBlockBytes))
      const lengthBytes = Math.min(blocks * fsBlockBytes, bytes - at)
      const position = block * fsBlockBytes + at
      pieces.push({ position, lengthBytes, offset: offset + at, seed, order: word })
      at += lengthBytes
    }
    offset += bytes
  }
  return pieces
}

async function write(guest: Guest, disk: GuestDisk, queue: Iterator<Piece>): Promise<void> {
  const buffer = guest.dma.alloc(PIECE_BYTES_MAX)
  for (let next = queue.next(); next.done !== true; next = queue.next()) {
    const { position, lengthBytes, offset, seed, order } = next.value
    const bytes = buffer.bytes.subarray(0, lengthBytes)
    contentOf(seed, offset, bytes)
    const block = position / disk.blockBytes
    // A journal's commits and databases do this; so do flushes in between.
    await disk.write(block, { ...buffer, bytes }, { durable: order % 7 === 0 })
    if (order % 11 === 0) await disk.flush()
    const read = await disk.read(block, lengthBytes / disk.blockBytes)
    if (Buffer.compare(read, bytes) !== 0) throw new Error(`block ${block} is not what was written`)
  }
  buffer.free()
}
