// What a session does to a file: names, commits that are shared, and blocks at the edges.

import {
  DiskOperation,
  DiskRequest,
  DiskStatus,
  FileStatus,
  checkVhdx,
  readVhdxInfo,
} from '@guestyard/storage'
import type { Disk } from '@guestyard/storage'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'

import { readHeaders } from '../../../src/backends/vhdx/header.ts'
import { noQemuImg, qemuImg } from '../../support/qemu-img.ts'
import { writeSparse } from '../../support/sparse-on-host.ts'
import { SparseFile, type SparseBytes } from '../../support/sparse-file.ts'
import {
  MIB,
  close,
  filled,
  flush,
  newImage,
  openCopy,
  read,
  referenceTo,
} from '../../support/vhdx-images.ts'
import { run, write } from '../../support/vhdx-images.ts'

const GIB = 1024 * MIB

function names(bytes: SparseBytes): [string, string] {
  const { fileWriteGuid, dataWriteGuid } = readHeaders(new SparseFile({ bytes })).current
  return [fileWriteGuid, dataWriteGuid]
}

test('an image tells what it is, and a child is made from that', () => {
  const { disk, file } = openCopy(newImage({ logicalSectorBytes: 4096 }))
  write(disk, 0, filled(4096, 1))
  flush(disk)
  const info = readVhdxInfo(file)
  expect(info).toEqual({
    kind: 'dynamic',
    virtualBytes: 4 * MIB,
    blockBytes: MIB,
    logicalSectorBytes: 4096,
    physicalSectorBytes: 4096,
    diskId: disk.geometry.uniqueId,
    dataWriteGuid: disk.dataWriteGuid,
    parent: null,
    isLogInUse: true,
  })
  close(disk)
  const paths = {
    linkage2: null,
    relativePath: 'parent.vhdx',
    volumePath: null,
    absolutePath: null,
  }
  const child = newImage({
    virtualBytes: info.virtualBytes,
    logicalSectorBytes: info.logicalSectorBytes,
    diskId: info.diskId,
    parent: { linkage: info.dataWriteGuid, ...paths },
  })
  const { kind, parent, diskId } = readVhdxInfo(new SparseFile({ bytes: child }))
  expect([kind, parent?.relativePath, diskId]).toEqual(['differencing', 'parent.vhdx', info.diskId])
  expect(read(openCopy(child, { parents: [file.bytes] }).disk, 0, 4096)).toEqual(filled(4096, 1))
  const { kind: fixed } = readVhdxInfo(new SparseFile({ bytes: newImage({ fixed: true }) }))
  expect(fixed).toBe('fixed')
})

test('a session that writes nothing leaves the file as it is', () => {
  const image = newImage()
  const { disk, file } = openCopy(image)
  read(disk, 0, MIB)
  flush(disk)
  expect(write(disk, 4 * MIB, filled(512, 1))).toBe(DiskStatus.OUT_OF_RANGE)
  expect(close(disk)).toBe(DiskStatus.OK)
  expect(file.writeCount).toBe(0)
})

test('the first write of a session gives the file and its data new names, and no later one does', () => {
  const image = newImage()
  const { disk, file } = openCopy(image)
  write(disk, 0, filled(512, 1))
  const first = names(file.bytes)
  write(disk, MIB, filled(512, 1))
  flush(disk)
  write(disk, 0, filled(512, 1))
  close(disk)
  const before = names(image)
  expect(first).toEqual(names(file.bytes))
  expect([first[0] === before[0], first[1] === before[1]]).toEqual([false, false])
  expect(disk.dataWriteGuid).toBe(first[1])
})

test('a replay names the file anew, and not the data, which stay the same', () => {
  const { disk, file } = openCopy(newImage())
  write(disk, 0, filled(512, 1))
  flush(disk)
  const before = names(file.bytes)
  const { disk: again, file: replayed } = openCopy(file.bytes)
  close(again)
  const after = names(replayed.bytes)
  expect([after[0] === before[0], after[1] === before[1]]).toEqual([false, true])
})

test('flushes that wait share a commit', () => {
  const { disk, file } = openCopy(newImage({ virtualBytes: 64 * MIB }), {
    slowSyncs: true,
    record: true,
  })
  const requests = Array.from({ length: 32 }, (_, index) => {
    const request = new DiskRequest(1)
    request.operation = DiskOperation.WRITE
    request.durable = true
    request.block = index * 2048
    request.blockCount = 8
    request.data.beginBytes(filled(4096, index))
    request.data.add(0, 4096)
    disk.submit(request)
    return request
  })
  let ended = 0
  for (let turn = 0; turn < 100 && ended < 32; turn += 1) {
    file.endSyncs()
    ended += disk.poll(64)
  }
  expect(ended).toBe(32)
  expect(requests.every(({ status }) => status === DiskStatus.OK)).toBe(true)
  const entries = file.changes.filter(
    (change) => change.is === 'write' && change.position >= MIB && change.position < 2 * MIB,
  )
  expect(entries.length).toBeLessThanOrEqual(2)
})

test('commits of any size follow each other in the log, and stay in it', () => {
  // 1,200 blocks: their entries are on three pages.
  const { disk, file } = openCopy(newImage({ virtualBytes: 1200 * MIB }))
  let outside = 0
  file.onWrite = (position) => {
    if (position >= 2 * MIB && position < 3 * MIB) outside += 1
    return FileStatus.OK
  }
  const isThere = new Set<number>()
  for (let commit = 0; commit < 300; commit += 1) {
    for (let page = 0; page <= commit % 3; page += 1) {
      const block = page * 512 + (commit % 7)
      if (isThere.has(block)) run(disk, DiskOperation.WRITE_ZEROES, block * MIB, MIB)
      else write(disk, block * MIB, filled(512, 1))
      if (!isThere.delete(block)) isThere.add(block)
    }
    expect(flush(disk)).toBe(DiskStatus.OK)
    if (commit % 10 > 0) continue
    const { disk: found } = openCopy(file.bytes, { readOnly: true })
    for (let block = 0; block < 1200; block += 1) {
      if (block % 512 >= 7) continue
      expect(read(found, block * MIB, 512)[0]).toBe(isThere.has(block) ? 1 : 0)
    }
  }
  expect(outside).toBe(0)
})

test('a flush with nothing to flush is done at once, while another one waits for its sync', () => {
  const { disk, file } = openCopy(newImage(), { slowSyncs: true })
  const idle = new DiskRequest(1)
  idle.operation = DiskOperation.FLUSH
  disk.submit(idle)
  expect(idle.status).toBe(DiskStatus.OK)
  const pending = new DiskRequest(1)
  pending.operation = DiskOperation.WRITE_ZEROES
  pending.blockCount = 8
  disk.submit(pending)
  disk.submit(idle)
  expect(read(disk, 0, 512)[0]).toBe(0)
  for (let turn = 0; turn < 10; turn += 1) {
    file.endSyncs()
    disk.poll(1)
  }
  expect(pending.status).toBe(DiskStatus.OK)
})

test('a disk asks to be polled while it has work, and not while it waits for a sync', () => {
  const { disk, file } = openCopy(newImage({ virtualBytes: 4 * GIB, fixed: true }), {
    slowSyncs: true,
  })
  const request = new DiskRequest(1)
  request.operation = DiskOperation.WRITE_ZEROES
  request.blockCount = (4 * GIB) / 512
  disk.submit(request)
  expect(disk.nextDeadlineMs()).toBe(Infinity)
  for (let turn = 0; turn < 3; turn += 1) {
    file.endSyncs()
    disk.poll(1)
  }
  expect([request.status, disk.nextDeadlineMs()]).toEqual([DiskStatus.PENDING, 0])
  disk.abort(request)
  expect([request.status, disk.nextDeadlineMs()]).toEqual([DiskStatus.ABORTED, Infinity])
})

test('a whole disk of 64 TiB is given up, without a request of it waiting for ever', () => {
  const { disk } = openCopy(newImage({ virtualBytes: 64 * 1024 * GIB, blockBytes: 256 * MIB }))
  write(disk, 5 * GIB, filled(512, 1))
  expect(run(disk, DiskOperation.UNMAP, 0, 64 * 1024 * GIB)).toBe(DiskStatus.OK)
  expect(read(disk, 5 * GIB, 512)[0]).toBe(0)
  expect(close(disk)).toBe(DiskStatus.OK)
})

/** Both sides of every border there is: of blocks, of chunks (4 GiB with sectors of 512 bytes), of the disk. */
function writeBorders(disk: Disk, borders: readonly number[]): void {
  for (const [index, border] of borders.entries()) {
    const bytes = filled(8192, index + 1)
    bytes.fill(index + 101, 4096)
    expect(write(disk, border - 4096, bytes)).toBe(DiskStatus.OK)
  }
}

function expectBorders(disk: Disk, borders: readonly number[]): void {
  for (const [index, border] of borders.entries()) {
    const bytes = read(disk, border - 8192, 16384)
    const found = [0, 4096, 8191, 8192, 12287, 12288].map((at) => bytes[at])
    expect(found).toEqual([0, index + 1, index + 1, index + 101, index + 101, 0])
  }
}

for (const blockBytes of [MIB, 2 * MIB, 256 * MIB]) {
  for (const sector of [512, 4096] as const) {
    for (const isChild of [false, true]) {
      const what = `${isChild ? 'child' : 'image'} with blocks of ${blockBytes / MIB} MiB, sectors of ${sector}`
      test(`writes over the borders of blocks and chunks come back: a ${what}`, () => {
        const options = { virtualBytes: 9 * GIB, blockBytes, logicalSectorBytes: sector }
        const parent = newImage(options)
        const image = isChild ? newImage({ ...options, parent: referenceTo(parent) }) : parent
        const parents = isChild ? [parent] : []
        const borders = [blockBytes, 4 * GIB, 4 * GIB + blockBytes, 8 * GIB, 9 * GIB - 16384]
        const { disk, file } = openCopy(image, { parents })
        writeBorders(disk, borders)
        expectBorders(disk, borders)
        close(disk)
        expectBorders(openCopy(file.bytes, { readOnly: true, parents }).disk, borders)
        expect(checkVhdx(new SparseFile({ bytes: file.bytes })).findings).toEqual([])
      })
    }
  }
}

test('more of the sector bitmaps changes than is kept in memory', () => {
  const options = { virtualBytes: 32 * GIB, blockBytes: MIB }
  const parent = newImage(options)
  const image = newImage({ ...options, parent: referenceTo(parent) })
  const { disk, file } = openCopy(image, { parents: [parent], slowSyncs: true })
  const step = (): void => {
    file.endSyncs()
    disk.poll(64)
  }
  // Each place has a page of bits of its own: 2,000 of them, where 1,024 are kept.
  const places = Array.from({ length: 2000 }, (_, index) => index * 16 * MIB + 512)
  for (const place of places) {
    const request = new DiskRequest(1)
    request.operation = DiskOperation.WRITE
    request.block = place / 512
    request.blockCount = 1
    request.data.beginBytes(filled(512, (place / 16 / MIB) & 0xff))
    request.data.add(0, 512)
    disk.submit(request)
    for (let turn = 0; request.status === DiskStatus.PENDING && turn < 100; turn += 1) step()
    expect(request.status).toBe(DiskStatus.OK)
  }
  disk.close()
  for (let turn = 0; !disk.closed && turn < 100; turn += 1) step()
  expect(disk.closeStatus).toBe(DiskStatus.OK)
  const again = openCopy(file.bytes, { readOnly: true, parents: [parent] }).disk
  for (const place of places) {
    const bytes = read(again, place - 512, 1536)
    expect([bytes[0], bytes[512], bytes[1024]]).toEqual([0, (place / 16 / MIB) & 0xff, 0])
  }
  // What the file does not have yet stays, however many others are looked at: bits on their way, and bits that changed since.
  const { disk: busy } = openCopy(file.bytes, { parents: [parent], slowSyncs: true })
  const late: DiskRequest[] = []
  const submit = (operation: DiskOperation, block: number): void => {
    const request = new DiskRequest(1)
    request.operation = operation
    request.block = block
    request.blockCount = operation === DiskOperation.WRITE ? 1 : 0
    request.data.beginBytes(filled(512, 99))
    if (operation === DiskOperation.WRITE) request.data.add(0, 512)
    busy.submit(request)
    late.push(request)
  }
  submit(DiskOperation.WRITE, 0)
  const busyFile = busy.file as SparseFile
  for (let turn = 0; turn < 4; turn += 1) {
    busyFile.endSyncs()
    busy.poll(1)
  }
  submit(DiskOperation.FLUSH, 0)
  submit(DiskOperation.WRITE, 32768 + 2)
  for (const place of places) read(busy, place, 512)
  for (const block of [0, 32768 + 2]) expect(read(busy, block * 512, 512)[0]).toBe(99)
  expect(late.map(({ status }) => status)).toEqual([0, 1, 0])
})

test('a block of a gap is made zeros within the polls of who waits, and given back when nobody does', () => {
  const { disk, file } = openCopy(newImage({ virtualBytes: 64 * MIB, blockBytes: 32 * MIB }))
  for (const block of [0, 1]) write(disk, block * 32 * MIB, filled(4096, 7))
  flush(disk)
  expect(run(disk, DiskOperation.UNMAP, 0, 64 * MIB)).toBe(DiskStatus.OK)
  flush(disk)
  const { fileMib, freeMib } = disk.image.space
  let written = 0
  const before = file.write.bind(file)
  file.write = (position, bytes, at, lengthBytes) => {
    written += lengthBytes
    return before(position, bytes, at, lengthBytes)
  }
  const requests = [0, 65536].map((block) => {
    const request = new DiskRequest(1)
    request.operation = DiskOperation.WRITE
    request.block = block
    request.blockCount = 1
    request.data.beginBytes(filled(512, 9))
    request.data.add(0, 512)
    disk.submit(request)
    return request
  })
  expect(written).toBeLessThanOrEqual(MIB)
  for (let turn = 0; turn < 4; turn += 1) {
    written = 0
    disk.poll(256)
    expect(written).toBeLessThanOrEqual(5 * MIB)
  }
  // Given up half way: the next write begins anew, with all of the space.
  disk.abort(requests[0]!)
  expect(disk.image.space.freeMib).toBe(freeMib)
  for (let turn = 0; disk.nextDeadlineMs() === 0 && turn < 100; turn += 1) disk.poll(256)
  expect(requests.map(({ status }) => status)).toEqual([DiskStatus.ABORTED, DiskStatus.OK])
  expect(read(disk, 0, 512)).toEqual(filled(512, 0))
  expect(read(disk, 32 * MIB, 4096)).toEqual(filled(4096, 0).fill(9, 0, 512))
  expect(disk.image.space.fileMib).toBe(fileMib)
  close(disk)
  expect(checkVhdx(new SparseFile({ bytes: file.bytes })).findings).toEqual([])
})

test.skipIf(noQemuImg !== undefined)('QEMU finds what lies over the borders of chunks', () => {
  const { disk, file } = openCopy(newImage({ virtualBytes: 9 * GIB, blockBytes: 2 * MIB }))
  const borders = [2 * MIB, 4 * GIB, 8 * GIB]
  writeBorders(disk, borders)
  close(disk)
  const folder = mkdtempSync(join(tmpdir(), 'guestyard-chunks-'))
  const path = join(folder, 'chunks.vhdx')
  writeSparse(path, file.bytes)
  for (const [index, border] of borders.entries()) {
    const raw = join(folder, 'border.raw')
    // Its `count` is where it stops, from the start.
    const page = border / 4096
    const range = ['bs=4096', `count=${page + 1}`, `skip=${page - 1}`]
    qemuImg('dd', '-f', 'vhdx', '-O', 'raw', ...range, `if=${path}`, `of=${raw}`)
    const bytes = readFileSync(raw)
    expect([bytes[0], bytes[4095], bytes[4096], bytes[8191]]).toEqual([
      ...[index + 1, index + 1],
      ...[index + 101, index + 101],
    ])
  }
  rmSync(folder, { recursive: true })
})
