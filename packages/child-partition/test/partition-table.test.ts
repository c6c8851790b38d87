import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import {
  readPartitionTable,
  writePartitionTable,
  type PartitionEntry,
  type TableBlocks,
} from '../src/disks/partition-table.ts'

const LINUX = '0FC63DAF-8483-4772-8E79-3D69D8477DE4'
const DISK = '6B8F3C1E-0A52-4D7B-9C3F-5E1A7D2B4C60'

function guid(n: number): string {
  return `${n.toString(16).padStart(8, '0').toUpperCase()}-0000-4000-8000-000000000000`
}

interface Bytes extends TableBlocks {
  readonly bytes: Uint8Array
  readonly reads: number[]
}

function disk(blockBytes: number, blockCount: number): Bytes {
  const bytes = new Uint8Array(blockBytes * blockCount)
  const reads: number[] = []
  return {
    bytes,
    reads,
    blockBytes,
    blockCount,
    read: async (block, count) => {
      if (block < 0 || block + count > blockCount) throw new Error('a read beyond the disk')
      reads.push(count)
      return bytes.slice(block * blockBytes, (block + count) * blockBytes)
    },
    write: async (block, data) => bytes.set(data, block * blockBytes),
    flush: async () => {},
  }
}

const two: readonly PartitionEntry[] = [
  { type: LINUX, guid: guid(1), name: 'root', firstBlock: 2048, blockCount: 1000 },
  { type: LINUX, guid: guid(2), name: 'data', firstBlock: 4096, blockCount: 10 },
]

describe('a partition table', () => {
  test.each([512, 4096])('is read as it was written, with blocks of %i bytes', async (bytes) => {
    const made = disk(bytes, 8192)
    await writePartitionTable(made, DISK, two)
    expect(await readPartitionTable(made)).toEqual({
      guid: DISK,
      copy: 'primary',
      partitions: two,
    })
  })

  test('is none where no signature is, and on a disk of one block', async () => {
    expect(await readPartitionTable(disk(512, 4096))).toBeNull()
    expect(await readPartitionTable(disk(512, 1))).toBeNull()
  })

  test('damaged anywhere in its first copy is read from the second; damaged in both it is an error of one line', async () => {
    const made = disk(512, 8192)
    await writePartitionTable(made, DISK, two)
    const whole = made.bytes.slice()
    // The 92 bytes of the header, and the entries behind it.
    const primary = fc.oneof(
      fc.integer({ min: 512, max: 512 + 91 }),
      fc.integer({ min: 1024, max: 1024 + 16_383 }),
    )
    const change = fc.integer({ min: 1, max: 255 })
    await fc.assert(
      fc.asyncProperty(primary, change, change, async (at, first, second) => {
        made.bytes.set(whole)
        made.bytes[at]! ^= first
        const read = await readPartitionTable(made)
        expect(read).toMatchObject({ copy: 'backup', partitions: two })
        made.bytes[8191 * 512 + 24]! ^= second
        await expect(readPartitionTable(made)).rejects.toThrow(/^no whole partition table[^\n]*$/)
      }),
      { numRuns: 200 },
    )
  })

  test('that says anything at all with checksums that are right makes no long reads and no partitions beyond the disk', async () => {
    const made = disk(512, 8192)
    await writePartitionTable(made, DISK, two)
    const whole = made.bytes.slice()
    const field = fc.constantFrom(12, 24, 32, 40, 48, 72, 80, 84)
    await fc.assert(
      fc.asyncProperty(field, fc.uint8Array({ minLength: 4, maxLength: 4 }), async (at, value) => {
        made.bytes.set(whole)
        made.bytes.set(value, 512 + at)
        await sealHeader(made.bytes, 512)
        made.reads.length = 0
        const read = await readPartitionTable(made)
        for (const one of read?.partitions ?? []) {
          expect(one.firstBlock + one.blockCount).toBeLessThan(8192)
        }
        expect(Math.max(...made.reads)).toBeLessThanOrEqual(8192)
      }),
      { numRuns: 300 },
    )
  })

  test.each([
    [[{ ...two[0]!, firstBlock: 33 }], 'partition "root" is not within blocks 34 to 8158'],
    [[{ ...two[0]!, blockCount: 0 }], 'partition "root" is not within blocks 34 to 8158'],
    [[two[0]!, { ...two[1]!, firstBlock: 3000 }], 'partition "data" overlaps another'],
    [[{ ...two[0]!, type: 'linux' }], '"linux" is not a GUID in upper case'],
  ])('with %j is not written', async (partitions, line) => {
    const made = disk(512, 8192)
    await expect(writePartitionTable(made, DISK, partitions)).rejects.toThrow(line)
    expect(made.bytes.every((byte) => byte === 0)).toBe(true)
  })

  const hasSfdisk = sfdisk('--version').status === 0
  if (!hasSfdisk) console.log('skipped: sfdisk is not there to compare partition tables with')
  test.skipIf(!hasSfdisk)('of ours is read by sfdisk, and one of its is read by us', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'guestyard-gpt-'))
    try {
      const path = join(folder, 'disk.img')
      const made = disk(512, 8192)
      await writePartitionTable(made, DISK, two)
      writeFileSync(path, made.bytes)
      const seen = sfdisk('--json', path)
      expect(JSON.parse(seen.stdout)).toMatchObject({
        partitiontable: {
          label: 'gpt',
          id: DISK,
          partitions: two.map(({ firstBlock, blockCount, name }) => ({
            start: firstBlock,
            size: blockCount,
            name,
          })),
        },
      })
      const script = join(folder, 'script')
      writeFileSync(script, 'label: gpt\nstart=2048, size=64, name="theirs"\n')
      expect(sfdisk('--quiet', path, script).status).toBe(0)
      made.bytes.set(readFileSync(path))
      const theirs = await readPartitionTable(made)
      expect(theirs?.partitions).toMatchObject([
        { name: 'theirs', firstBlock: 2048, blockCount: 64, type: LINUX },
      ])
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

/** A last argument beside the image is what it reads from its standard input. */
function sfdisk(flag: string, path = '', script = ''): { status: number | null; stdout: string } {
  const command = 'sfdisk'
  const input = script === '' ? '' : readFileSync(script, 'utf8')
  return spawnSync(command, path === '' ? [flag] : [flag, path], { encoding: 'utf8', input })
}

/** Makes the header's checksum right again. */
async function sealHeader(bytes: Uint8Array, at: number): Promise<void> {
  const { crc32 } = await import('node:zlib')
  const view = new DataView(bytes.buffer)
  view.setUint32(at + 16, 0, true)
  const size = Math.min(view.getUint32(at + 12, true), 512)
  view.setUint32(at + 16, crc32(bytes.subarray(at, at + size)), true)
}
