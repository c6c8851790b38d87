// Images of every format behind a machine's disks: made when they are missing, locked while they are used, slowed down when asked.

import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { startHost, type DiskOptions, type Host, type Vm } from '@guestyard/management'

const MIB = 2 ** 20
const SERVER = new URL('guests/disk-server.ts', import.meta.url)

let host: Host
const folder = mkdtempSync(join(tmpdir(), 'guestyard-images-'))
const at = (name: string): string => join(folder, name)

beforeAll(async () => {
  host = await startHost({ log: { level: 'silent' } })
})
afterAll(async () => {
  await host.close()
  rmSync(folder, { recursive: true, force: true })
})

async function started(name: string, disks: readonly DiskOptions[]): Promise<Vm> {
  const vm = host.createVm({ name, memoryBytes: 8 * MIB, program: SERVER, disks })
  await vm.start()
  return vm
}

describe('images', () => {
  test('that are missing are made, and are found again by the next machine', async () => {
    const made: readonly DiskOptions[] = [
      { file: at('a.vhdx'), sizeBytes: 64 * MIB, blockBytes: 4096 },
      { file: at('b.vhd'), format: 'vhd', sizeBytes: 8 * MIB, fixed: true },
      { file: at('c.img'), format: 'raw', sizeBytes: 8 * MIB },
    ]
    const first = await started('first', made)
    expect(await first.call('list')).toMatchObject([
      { blockBytes: 4096, blockCount: 16_384 },
      { blockBytes: 512, blockCount: 16_384 },
      { blockBytes: 512, blockCount: 16_384 },
    ])
    for (const disk of [0, 1, 2]) {
      await first.call('write', { disk, block: 9_000, count: 9, fill: 10 + disk })
    }
    await first.turnOff()
    expect(readFileSync(at('a.vhdx')).subarray(0, 8).toString()).toBe('vhdxfile')
    expect(statSync(at('c.img')).size).toBe(8 * MIB)
    // Whatever they are is in them, but for the raw one.
    const next = await started('next', [
      { file: at('a.vhdx') },
      { file: at('b.vhd') },
      { file: at('c.img'), format: 'raw' },
    ])
    for (const disk of [0, 1, 2]) {
      const read = (await next.call('read', { disk, block: 9_000, count: 9 })) as Uint8Array
      expect(read.every((byte) => byte === 10 + disk)).toBe(true)
    }
    await next.stop()
  })

  test('that one machine writes to are no one else’s; those that are only read are everybody’s', async () => {
    writeFileSync(at('shared.img'), new Uint8Array(MIB))
    const disk = { file: at('shared.img'), format: 'raw' as const }
    const owner = await started('owner', [disk])
    const other = host.createVm({ name: 'other', memoryBytes: 4 * MIB, disks: [disk] })
    await expect(other.start()).rejects.toThrow(/scsi 0:0: .+shared\.img: [^\n]*use/)
    const idle = await started('idle', [])
    await expect(idle.attachDisk(disk)).rejects.toThrow(/shared\.img: [^\n]*use/)
    await owner.stop()
    const readers = await Promise.all(
      ['one', 'two'].map((name) => started(name, [{ ...disk, readOnly: true }])),
    )
    for (const reader of readers) {
      expect(await reader.call('list')).toMatchObject([{ readOnly: true }])
      await expect(reader.call('write', { disk: 0 })).rejects.toThrow(/scsi0:0: write of block 0/)
    }
    await Promise.all([idle, ...readers].map((vm) => vm.turnOff()))
  })

  test('that are not what they should be, or damaged, are refused and left as they were', async () => {
    const damaged = readFileSync(at('a.vhdx'))
    damaged.fill(0xff, 64 * 1024, 256 * 1024)
    writeFileSync(at('damaged.vhdx'), damaged)
    const idle = await started('idle2', [])
    await expect(idle.attachDisk({ file: at('damaged.vhdx') })).rejects.toThrow(
      /^scsi 0:0: .+damaged\.vhdx: header[^\n]*$/,
    )
    expect(Buffer.compare(readFileSync(at('damaged.vhdx')), damaged)).toBe(0)
    await expect(idle.attachDisk({ file: at('b.vhd'), format: 'vhdx' })).rejects.toThrow(
      /b\.vhd: is no vhdx image/,
    )
    const tooLarge = { file: at('no.vhd'), format: 'vhd' as const, sizeBytes: 2 ** 42 }
    await expect(idle.attachDisk(tooLarge)).rejects.toThrow(/no\.vhd: size: /)
    expect(existsSync(at('no.vhd'))).toBe(false)
    await idle.turnOff()
    // One of two is no good: the other one is free when the machine has failed.
    const half = [{ file: at('b.vhd') }, { file: at('damaged.vhdx') }]
    const failed = host.createVm({ name: 'half', memoryBytes: 4 * MIB, disks: half })
    await expect(failed.start()).rejects.toThrow(/scsi 0:1: .+damaged/)
    await (await started('whole', [half[0]!])).turnOff()
  })

  test('of children hold what differs from their parent, which several machines have', async () => {
    const base = await started('base', [{ file: at('base.vhdx'), sizeBytes: 8 * MIB }])
    await base.call('write', { disk: 0, block: 0, count: 16, fill: 7 })
    await base.stop()
    const before = readFileSync(at('base.vhdx'))
    const children = await Promise.all(
      ['one', 'two'].map((name) =>
        started(`child ${name}`, [{ file: at(`${name}.vhdx`), parent: at('base.vhdx') }]),
      ),
    )
    for (const [index, child] of children.entries()) {
      await child.call('write', { disk: 0, block: 4, count: 1, fill: 100 + index })
      const read = (await child.call('read', { disk: 0, count: 8 })) as Uint8Array
      expect([read[0], read[4 * 512], read[5 * 512]]).toEqual([7, 100 + index, 7])
    }
    await Promise.all(children.map((child) => child.stop()))
    expect(Buffer.compare(readFileSync(at('base.vhdx')), before)).toBe(0)
  })

  test('of discs are in DVD drives, which are only read', async () => {
    const iso = Buffer.alloc(64 * 2048)
    for (let block = 0; block < 64; block += 1) {
      iso.fill(block + 1, block * 2048, (block + 1) * 2048)
    }
    writeFileSync(at('disc.iso'), iso)
    const drives: readonly DiskOptions[] = [
      { device: 'dvd', file: at('disc.iso'), format: 'raw' },
      { device: 'dvd' },
    ]
    const vm = await started('player', drives)
    expect(await vm.call('list')).toMatchObject([
      { address: 'scsi0:0', kind: 'dvd', blockBytes: 2048, blockCount: 64, readOnly: true },
      { address: 'scsi0:1', kind: 'dvd', blockCount: 0 },
    ])
    const read = (await vm.call('read', { disk: 'scsi0:0', block: 62, count: 2 })) as Uint8Array
    expect(Buffer.compare(read, iso.subarray(62 * 2048))).toBe(0)
    await expect(vm.call('write', { disk: 'scsi0:0' })).rejects.toThrow(/write of block 0/)
    // No medium: three of a disk's blocks are less than one of a disc's.
    writeFileSync(at('tiny.iso'), new Uint8Array(1536))
    const tiny: DiskOptions = { file: at('tiny.iso'), format: 'raw' }
    await expect(vm.attachDisk({ ...tiny, device: 'dvd' })).rejects.toThrow(
      /^scsi 0:2: a medium has/,
    )
    await vm.attachDisk(tiny)
    await expect(vm.call('read', { disk: 'scsi0:1' })).rejects.toThrow(/is no number of its blocks/)
    await vm.turnOff()
  })

  test('with a limit are as slow as that, and nobody else is', async () => {
    const limits = { iops: 200 }
    const vm = await started('slow', [{ memoryBytes: MIB, limits }, { memoryBytes: MIB }])
    const timeOf = async (disk: number): Promise<number> => {
      const from = performance.now()
      // 256 KiB are 32 requests of 8 KiB.
      for (let round = 0; round < 2; round += 1) await vm.call('read', { disk, count: 512 })
      await vm.call('read', { disk, count: 1 })
      return performance.now() - from
    }
    await timeOf(1)
    expect(await timeOf(0)).toBeGreaterThan(200)
    const { partitions, engine } = await host.inspect()
    const { disks } = partitions.find(({ name }) => name === 'slow')!.scsiControllers[0]!
    expect(disks.map(({ counters }) => counters!.pended > 0)).toEqual([true, false])
    // Nobody polled while the disk waited for its time.
    expect((engine as { deadlines: number }).deadlines).toBeGreaterThan(0)
    await vm.stop()
  })
})
