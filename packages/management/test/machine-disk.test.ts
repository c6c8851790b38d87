// The IDE disk of a machine guest, asked over its port as the processor's thread asks: bytes there and back, and what is out of order is no
// more than that machine's end.

import { once } from 'node:events'
import type { DiskSpec } from '@guestyard/root-partition/worker-protocol'
import { openDisk } from '@guestyard/root-partition'
import type { IdeDiskReply, IdeDiskRequest } from '@guestyard/x86-partition/worker-protocol'
import { afterEach, expect, test } from 'vitest'

import { MachineDisk } from '../src/vmwp/emulated/machine-disk.ts'

const DISK_BYTES = 2 ** 20
const SPEC: DiskSpec = {
  controllerType: 'ide',
  controllerNumber: 0,
  controllerLocation: 0,
  device: 'disk',
  readOnly: false,
  limits: null,
  source: { is: 'memory', sizeBytes: DISK_BYTES, blockBytes: 512 },
}

let disk: MachineDisk

function open(spec: DiskSpec): MachineDisk {
  const opened = openDisk(spec, { flush: 'sync', wake: () => {}, clock: { nowMs: 0 } })
  disk = new MachineDisk(spec, opened.disk, () => void disk.poll())
  return disk
}

afterEach(() => disk.close())

async function ask(request: IdeDiskRequest): Promise<IdeDiskReply> {
  const answered = once(disk.far.port, 'message')
  disk.far.port.postMessage(request)
  const [reply] = (await answered) as [IdeDiskReply]
  return reply
}

test('what is written is read back, and the rest is zeros', async () => {
  open(SPEC)
  expect(disk.far.bytes).toBe(DISK_BYTES)
  const bytes = new Uint8Array(1024).fill(7)
  expect(await ask({ id: 1, at: 512, transfer: bytes })).toEqual({ id: 1, data: new Uint8Array() })
  const { id, data } = await ask({ id: 2, at: 0, transfer: 2048 })
  expect([id, data![511], data![512], data![1535], data![1536]]).toEqual([2, 0, 7, 7, 0])
  expect(disk.inspect()).toEqual({ reads: 1, writes: 1, failures: 0 })
})

test.each([
  ['beyond the end', { at: DISK_BYTES, transfer: 512 }],
  ['across the end', { at: DISK_BYTES - 512, transfer: 1024 }],
  ['no whole sectors', { at: 0, transfer: 100 }],
  ['no sector', { at: 100, transfer: 512 }],
  ['before the start', { at: -512, transfer: 512 }],
  ['more than a command can ask for', { at: 0, transfer: 2 ** 26 }],
  ['a write beyond the end', { at: DISK_BYTES, transfer: new Uint8Array(512) }],
])('%s fails, and the next request is served', async (_what, request) => {
  open(SPEC)
  expect(await ask({ id: 1, ...request })).toEqual({ id: 1, data: null })
  expect((await ask({ id: 2, at: 0, transfer: 512 })).data).toHaveLength(512)
})

test.each([
  { ...SPEC, readOnly: true },
  { ...SPEC, source: { is: 'memory', sizeBytes: DISK_BYTES, blockBytes: 4096 } } as const,
])('a disk that IDE has no words for is refused by its place', (spec) => {
  expect(() => open(spec).checkSectors(spec)).toThrow(/IDE.*writable blocks of 512 bytes/)
})
