import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { DiskOperation, DiskRequest, DiskStatus, createVhd, openVhd } from '@guestyard/storage'
import { createBackingFile, openBackingFile } from '@guestyard/storage/file'
import { afterAll, expect, test } from 'vitest'

import { noQemuImg, qemuImg } from '../../support/qemu-img.ts'
import { seeded } from '../../support/seeded.ts'

const folder = mkdtempSync(join(tmpdir(), 'guestyard-vhd-'))
afterAll(() => rmSync(folder, { recursive: true }))

interface Info {
  readonly 'virtual-size': number
}

const SIZE_BYTES = 9 * 2 ** 20
const content = new Uint8Array(SIZE_BYTES)
const chance = seeded(5)
for (const at of [0, 100_000, 3_000_000, SIZE_BYTES - 70_000]) {
  for (let index = 0; index < 65_000; index++) content[at + index] = chance() * 256
}
const raw = join(folder, 'content.raw')
writeFileSync(raw, content)

for (const subformat of ['fixed', 'dynamic'] as const) {
  const isFixed = subformat === 'fixed'

  test.skipIf(noQemuImg !== undefined)(`reads a ${subformat} VHD that qemu-img wrote`, () => {
    const path = join(folder, `theirs-${subformat}.vhd`)
    const options = `subformat=${subformat},force_size=on`
    qemuImg('convert', '-f', 'raw', '-O', 'vpc', '-o', options, raw, path)
    const disk = openVhd(openBackingFile(path, { flush: 'sync' }))
    const read = whole(DiskOperation.READ, new Uint8Array(SIZE_BYTES))
    disk.submit(read)
    expect(read.status).toBe(DiskStatus.OK)
    expect(Buffer.compare(read.data.bytes, content)).toBe(0)
    disk.close()
    expect(qemuImg('compare', '-f', 'raw', '-F', 'vpc', raw, path)).toContain('identical')
  })

  test.skipIf(noQemuImg !== undefined)(`qemu-img reads a ${subformat} VHD of ours`, () => {
    const path = join(folder, `ours-${subformat}.vhd`)
    const file = createBackingFile(path, { flush: 'sync' })
    const uniqueId = new Uint8Array(16).fill(7)
    createVhd(file, { sizeBytes: SIZE_BYTES, fixed: isFixed, uniqueId, createdAtMs: Date.now() })
    const disk = openVhd(file)
    const write = whole(DiskOperation.WRITE, content)
    disk.submit(write)
    expect(write.status).toBe(DiskStatus.OK)
    disk.close()
    const info = JSON.parse(qemuImg('info', '-f', 'vpc', '--output=json', path)) as Info
    expect(info['virtual-size']).toBe(SIZE_BYTES)
    expect(qemuImg('compare', '-f', 'raw', '-F', 'vpc', raw, path)).toContain('identical')
  })
}

function whole(operation: DiskOperation, bytes: Uint8Array): DiskRequest {
  const request = new DiskRequest(1)
  request.operation = operation
  request.blockCount = SIZE_BYTES / 512
  request.data.beginBytes(bytes)
  request.data.add(0, SIZE_BYTES)
  return request
}
