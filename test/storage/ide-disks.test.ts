// Disks behind the emulated controller, in running machines: the same guest program as on the bus, every register access an exit to the
// VM's worker process.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { startHost, type Host, type Vm } from '@guestyard/management'

const MIB = 2 ** 20
const PROGRAM = new URL('guests/disk-server.ts', import.meta.url)
const IDE = { controllerType: 'ide' } as const

let host: Host
const folder = mkdtempSync(join(tmpdir(), 'guestyard-ide-'))
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

describe('an IDE disk of a machine', () => {
  test('has in its image what its guest has written by the bus master, and is free afterwards', async () => {
    writeFileSync(at('a.img'), new Uint8Array(4 * MIB))
    const disks: Disks = [
      { ...IDE, file: at('a.img'), format: 'raw' },
      { ...IDE, controllerNumber: 1, memoryBytes: MIB },
      { memoryBytes: MIB },
    ]
    const vm = await started('a', disks)
    expect(await vm.call('list')).toMatchObject([
      { address: 'ide0:0', kind: 'disk', blockBytes: 512, blockCount: 8192, readOnly: false },
      { address: 'ide1:0', kind: 'disk', blockCount: 2048 },
      { address: 'scsi0:0', kind: 'disk', blockCount: 2048 },
    ])
    await vm.call('write', { disk: 'ide0:0', block: 7, count: 3, fill: 0x5a })
    await vm.call('write', { disk: 'ide0:0', block: 1000, count: 600, fill: 0xa5, dma: true })
    await vm.call('write', { disk: 'ide1:0', block: 1, count: 1, fill: 0x11 })
    await vm.call('flush', { disk: 'ide0:0' })
    const read = (await vm.call('read', { disk: 'ide0:0', block: 999, count: 3 })) as Uint8Array
    expect([read[511], read[512], read[1535]]).toEqual([0, 0xa5, 0xa5])
    const image = readFileSync(at('a.img'))
    expect(image.subarray(7 * 512, 10 * 512).every((byte) => byte === 0x5a)).toBe(true)
    expect(image.subarray(1000 * 512, 1600 * 512).every((byte) => byte === 0xa5)).toBe(true)
    expect(image[1600 * 512]).toBe(0)
    await expect(vm.call('read', { disk: 'ide1:0', block: 2048 })).rejects.toThrow(
      /ide1:0: read of block 2048: .+/,
    )
    await vm.stop()
    const other = await started('a2', [{ file: at('a.img'), format: 'raw' }])
    const again = (await other.call('read', { disk: 0, block: 7, count: 1 })) as Uint8Array
    expect(again[0]).toBe(0x5a)
    await other.stop()
  })

  test('is free for another machine when its own is turned off in the middle of its work', async () => {
    writeFileSync(at('b.img'), new Uint8Array(MIB))
    const disks: Disks = [{ ...IDE, file: at('b.img'), format: 'raw' }]
    const vm = await started('b', disks)
    const reading = vm.call('readUntilFailure', { disk: 'ide0:0' }).catch(String)
    for (let reports = 0; reports === 0;) reports = (await vm.takeReports()).length
    await vm.turnOff()
    expect(await reading).toContain('ended (turned-off)')
    const other = await started('b2', disks)
    expect(await other.call('read', { disk: 'ide0:0' })).toHaveLength(512)
    await other.stop()
  })

  test('may be a DVD drive, with a disc or without', async () => {
    const iso = Uint8Array.from({ length: 64 * 2048 }, (_, i) => i >>> 11)
    writeFileSync(at('a.iso'), iso)
    const disks: Disks = [
      { ...IDE, device: 'dvd', file: at('a.iso'), format: 'raw' },
      { ...IDE, device: 'dvd' },
    ]
    const vm = await started('dvd', disks)
    expect(await vm.call('list')).toMatchObject([
      { address: 'ide0:0', kind: 'dvd', blockBytes: 2048, blockCount: 64, readOnly: true },
      { address: 'ide0:1', kind: 'dvd', blockCount: 0 },
    ])
    const read = (await vm.call('read', { disk: 'ide0:0', block: 40, count: 3 })) as Uint8Array
    expect([read[0], read[2048], read[6143]]).toEqual([40, 41, 42])
    await vm.stop()
  })

  test.each([
    ['absent', { ...IDE, file: at('absent.img') }, 'no such file'],
    ['of large blocks', { ...IDE, memoryBytes: MIB, blockBytes: 4096 as const }, '512 bytes only'],
  ])('that is %s is why its machine does not start, in one line', async (_, disk, why) => {
    const vm = host.createVm({ name: `bad ${why}`, memoryBytes: 4 * MIB, disks: [disk] })
    const failure = await vm.start().then(
      () => '',
      (error: unknown) => (error as Error).message,
    )
    expect(failure).toMatch(/^VM "bad [^\n]+ refused: ide 0:0: [^\n]+$/)
    expect(failure).toContain(why)
  })
})
