/** Discs that change and disks that grow under a guest that uses them. Both engines must say the same of it. */

import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { defineScenario } from '@guestyard/scenario'
import type { VmHandle } from '@guestyard/scenario'

const MIB = 2 ** 20
const DISC_BLOCKS = 64
const DISC_BYTES = DISC_BLOCKS * 2048

async function refusal(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'nothing',
    (error: unknown) => (error as Error).message,
  )
}

/** Waits until the guest has reported it, and forgets what it reported before. */
async function reported(vm: VmHandle, what: unknown): Promise<void> {
  const wanted = JSON.stringify(what)
  for (;;) {
    const reports = await vm.takeReports()
    if (reports.some((report) => JSON.stringify(report) === wanted)) return
  }
}

/** The first byte of a block. */
async function byteAt(vm: VmHandle, disk: string, block: number): Promise<number | undefined> {
  const read = (await vm.call('read', { disk, block })) as Uint8Array
  return read[0]
}

async function blocksOf(vm: VmHandle, address: string): Promise<number | undefined> {
  const disks = (await vm.call('list')) as readonly {
    readonly address: string
    readonly blockCount: number
  }[]
  return disks.find((disk) => disk.address === address)?.blockCount
}

export default defineScenario({
  vms: { guest: { memory: '8 MiB', guest: '../guests/disk-server.ts', dvd: null } },
  async run({ vms: { guest }, expect }) {
    const folder = mkdtempSync(join(tmpdir(), 'guestyard-media-'))
    const at = (name: string): string => join(folder, name)
    try {
      await guest.started()
      await discs(guest, at, expect)
      await sizes(guest, at, expect)
    } finally {
      await guest.stop()
      rmSync(folder, { recursive: true })
    }
  },
})

type Expect = Parameters<Parameters<typeof defineScenario>[0]['run']>[0]['expect']

async function discs(guest: VmHandle, at: (name: string) => string, expect: Expect): Promise<void> {
  const drive = { controllerType: 'scsi', controllerNumber: 0, controllerLocation: 0 } as const
  const changed = { is: 'medium', address: 'scsi0:0' }
  for (const fill of [1, 2]) writeFileSync(at(`${fill}.iso`), Buffer.alloc(DISC_BYTES, fill))
  writeFileSync(at('tiny.iso'), Buffer.alloc(1536))
  expect(await blocksOf(guest, 'scsi0:0'), 'blocks in the empty drive').toBe(0)
  expect(await refusal(guest.ejectDvd(drive))).toBe('scsi 0:0 has no disc')
  expect(await refusal(guest.insertDvd(drive, at('tiny.iso')))).toContain('scsi 0:0: a medium has')

  await guest.insertDvd(drive, at('1.iso'))
  await reported(guest, changed)
  expect(await blocksOf(guest, 'scsi0:0'), 'blocks of the disc').toBe(DISC_BLOCKS)
  expect(await byteAt(guest, 'scsi0:0', 63), 'the first disc').toBe(1)
  expect(await refusal(guest.insertDvd(drive, at('2.iso')))).toContain('it is ejected first')
  expect(await refusal(guest.resizeDisk(drive, MIB))).toContain('a disc keeps its size')

  await guest.ejectDvd(drive)
  await guest.insertDvd(drive, at('2.iso'))
  await reported(guest, changed)
  // One change or two for the guest, as it comes to look.
  while ((await blocksOf(guest, 'scsi0:0')) === 0) await guest.takeReports()
  expect(await byteAt(guest, 'scsi0:0', 63), 'the second disc').toBe(2)

  const reading = guest.call('readUntilFailure', { disk: 'scsi0:0' })
  await reported(guest, 'reading')
  await guest.ejectDvd(drive)
  expect(await reading, 'a read without a disc').toContain('scsi0:0: read of block 0: ')
  while ((await blocksOf(guest, 'scsi0:0')) !== 0) await guest.takeReports()

  // Its image is nobody's any more: it may be written to. And a drive may come with a disc in it.
  const disk = await guest.attachDisk({ raw: at('2.iso') })
  await reported(guest, { is: 'added', address: 'scsi0:1' })
  expect(await refusal(guest.ejectDvd(disk))).toBe('scsi 0:1 is no DVD drive')
  await guest.detachDisk(disk)
  // The same place again: a guest that has not looked meanwhile would read the drive by the disk's blocks.
  await reported(guest, { is: 'removed', address: 'scsi0:1' })
  const more = await guest.attachDisk({ iso: at('2.iso') })
  await reported(guest, { is: 'added', address: 'scsi0:1' })
  expect(await byteAt(guest, 'scsi0:1', 0), 'the disc of the drive that came').toBe(2)
  await guest.detachDisk(more)
  await reported(guest, { is: 'removed', address: 'scsi0:1' })
  expect(await refusal(guest.insertDvd(more, at('1.iso')))).toBe('no disk at scsi 0:1')
}

async function sizes(guest: VmHandle, at: (name: string) => string, expect: Expect): Promise<void> {
  const attach = {
    raw: { raw: at('grows.img'), size: MIB },
    vhdx: { vhdx: at('grows.vhdx'), size: '8 MiB', blockBytes: 4096 },
  } as const
  for (const [name, options, [before, after]] of [
    ['raw', attach.raw, [MIB, 3 * MIB]],
    ['vhdx', attach.vhdx, [8 * MIB, 4096 * MIB]],
  ] as const) {
    const blockBytes = name === 'vhdx' ? 4096 : 512
    const last = after / blockBytes - 1
    const place = await guest.attachDisk(options)
    await reported(guest, { is: 'added', address: 'scsi0:1' })
    await guest.call('write', { disk: 'scsi0:1', block: before / blockBytes - 1, fill: 7 })
    expect(await refusal(guest.call('write', { disk: 'scsi0:1', block: last }))).toContain('write')
    expect(await refusal(guest.resizeDisk(place, before - 4096)), `a smaller ${name}`).toContain(
      'a disk in use gets no smaller',
    )
    await guest.resizeDisk(place, after)
    await reported(guest, { is: 'resized', address: 'scsi0:1' })
    expect(await blocksOf(guest, 'scsi0:1'), `blocks of a larger ${name}`).toBe(last + 1)
    expect(await byteAt(guest, 'scsi0:1', last), `new blocks of a ${name}`).toBe(0)
    await guest.call('write', { disk: 'scsi0:1', block: last, fill: 9 })
    await guest.detachDisk(place)
    await reported(guest, { is: 'removed', address: 'scsi0:1' })
    await guest.attachDisk(options)
    await reported(guest, { is: 'added', address: 'scsi0:1' })
    expect(await byteAt(guest, 'scsi0:1', last), `the last block of a ${name}, later`).toBe(9)
    expect(await byteAt(guest, 'scsi0:1', before / blockBytes - 1), 'what was last').toBe(7)
    await guest.detachDisk(place)
    await reported(guest, { is: 'removed', address: 'scsi0:1' })
  }
  expect(statSync(at('grows.img')).size).toBe(3 * MIB)

  const only = 'only VHDX and raw images grow while they are used'
  for (const options of [{ memory: MIB }, { vhd: at('stays.vhd'), size: MIB, fixed: true }]) {
    const place = await guest.attachDisk(options)
    expect(await refusal(guest.resizeDisk(place, 2 * MIB))).toContain(only)
    await guest.detachDisk(place)
  }
}
