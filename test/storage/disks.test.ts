// Disks in running machines: what a guest's program reads and writes is in the image, and comes and goes with it.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { startHost, type Host, type Vm } from '@guestyard/management'

const MIB = 2 ** 20
const PROGRAM = new URL('guests/disk-server.ts', import.meta.url)

let host: Host
const folder = mkdtempSync(join(tmpdir(), 'guestyard-disks-'))
const at = (name: string): string => join(folder, name)

beforeAll(async () => {
  host = await startHost({ log: { level: 'silent' } })
})
afterAll(async () => {
  await host.close()
  rmSync(folder, { recursive: true, force: true })
})

type Disks = NonNullable<Parameters<Host['createVm']>[0]['disks']>

async function started(name: string, disks: Disks): Promise<Vm> {
  const vm = host.createVm({ name, memoryBytes: 8 * MIB, program: PROGRAM, disks })
  await vm.start()
  return vm
}

describe('a disk of a machine', () => {
  test('has in its image what its guest has written, page by page or from any array', async () => {
    writeFileSync(at('a.img'), new Uint8Array(4 * MIB))
    const vm = await started('a', [{ file: at('a.img'), format: 'raw' }])
    expect(await vm.call('list')).toMatchObject([
      { address: 'scsi0:0', kind: 'disk', blockBytes: 512, blockCount: 8192, readOnly: false },
    ])
    await vm.call('write', { disk: 0, block: 7, count: 3, fill: 0x5a })
    await vm.call('write', { disk: 0, block: 1000, count: 2048, fill: 0xa5, dma: true })
    await vm.call('flush', { disk: 0 })
    const read = (await vm.call('read', { disk: 0, block: 999, count: 3 })) as Uint8Array
    expect([read[511], read[512], read[1535]]).toEqual([0, 0xa5, 0xa5])
    const image = readFileSync(at('a.img'))
    expect(image.subarray(7 * 512, 10 * 512).every((byte) => byte === 0x5a)).toBe(true)
    expect(image.subarray(1000 * 512, 3048 * 512).every((byte) => byte === 0xa5)).toBe(true)
    expect(image[3048 * 512]).toBe(0)
    await vm.stop()
  })

  test('is given up and zeroed where the image can do so, and refused with a reason where not', async () => {
    const vm = await started('b', [{ memoryBytes: MIB }, { memoryBytes: MIB, readOnly: true }])
    await vm.call('write', { disk: 0, block: 0, count: 64, fill: 1 })
    await vm.call('discard', { disk: 0, block: 8, count: 8 })
    await vm.call('zero', { disk: 0, block: 32, count: 8 })
    const read = (await vm.call('read', { disk: 0, count: 64 })) as Uint8Array
    const zeros = [...Array(64).keys()].filter((block) => read[block * 512] === 0)
    expect(zeros).toEqual([8, 9, 10, 11, 12, 13, 14, 15, 32, 33, 34, 35, 36, 37, 38, 39])
    await expect(vm.call('write', { disk: 1 })).rejects.toThrow(/scsi0:1: write of block 0: .+/)
    await expect(vm.call('read', { disk: 0, block: 2048 })).rejects.toThrow(
      /scsi0:0: read of block 2048: .+/,
    )
    await vm.stop()
  })

  test('comes while the guest runs and goes while it is read, and its image is free then', async () => {
    writeFileSync(at('c.img'), new Uint8Array(MIB))
    const vm = await started('c', [])
    expect(await vm.call('list')).toEqual([])
    const place = await vm.attachDisk({ file: at('c.img'), format: 'raw' })
    expect(place).toEqual({ controllerType: 'scsi', controllerNumber: 0, controllerLocation: 0 })
    const reading = vm.call('readUntilFailure', { disk: 'scsi0:0' })
    await reported(vm, 'reading')
    await vm.detachDisk(place)
    expect(await reading).toMatch(/^scsi0:0: read of block 0: /)
    expect(await reported(vm, { is: 'removed', address: 'scsi0:0' })).toBe(true)
    expect(await vm.call('list')).toEqual([])
    await expect(vm.detachDisk(place)).rejects.toThrow('no disk at scsi 0:0')
    // Another machine has it at once, as the only disk of its last controller.
    const other = await started('c2', [
      { file: at('c.img'), format: 'raw', controllerNumber: 3, controllerLocation: 63 },
    ])
    expect(await other.call('list')).toMatchObject([{ address: 'scsi3:63' }])
    await Promise.all([vm.stop(), other.stop()])
  })
})

describe('an image that is no good', () => {
  test.each([
    ['absent', { file: at('absent.img') }, 'no such file'],
    ['a folder', { file: folder }, 'is a folder'],
    ['empty', { file: at('empty.img'), format: 'raw' as const }, 'size: the file is empty'],
  ])('because it is %s is why its machine does not start, in one line', async (_, disk, why) => {
    writeFileSync(at('empty.img'), '')
    const vm = host.createVm({ name: `bad ${why}`, memoryBytes: 4 * MIB, disks: [disk] })
    const failure = await vm.start().then(
      () => '',
      (error: unknown) => (error as Error).message,
    )
    expect(failure).toMatch(/^VM "bad [^\n]+ refused: scsi 0:0: [^\n]+$/)
    expect(failure).toContain(why)
    expect(vm.state).toBe('failed')
  })

  test('is refused to a machine that runs, which keeps what it has', async () => {
    const vm = await started('d', [{ memoryBytes: MIB }])
    await expect(vm.attachDisk({ file: at('absent.img') })).rejects.toThrow(
      /scsi 0:1: .+no such file/,
    )
    await expect(vm.attachDisk({ memoryBytes: MIB, controllerLocation: 0 })).rejects.toThrow(
      'scsi 0:0 is taken already',
    )
    const place = await vm.attachDisk({ memoryBytes: 2 * MIB })
    expect(place.controllerLocation).toBe(1)
    expect(await vm.call('read', { disk: 'scsi0:1', block: 4095 })).toHaveLength(512)
    await vm.stop()
  })
})

/** Waits until the guest has reported this, and forgets what it reported before. */
async function reported(vm: Vm, what: unknown): Promise<boolean> {
  const wanted = JSON.stringify(what)
  for (;;) {
    const reports = await vm.takeReports()
    if (reports.some((report) => JSON.stringify(report) === wanted)) return true
  }
}
