// Growing, compacting, merging.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import {
  DiskOperation,
  DiskRequest,
  DiskStatus,
  ImageError,
  checkVhdx,
  compactVhdx,
  growVhdx,
  mergeVhdx,
  openVhdx,
} from '@guestyard/storage'
import type { ImageJob } from '@guestyard/storage'
import { afterAll, expect, test } from 'vitest'

import { noQemuImg, qemuImg } from '../../support/qemu-img.ts'
import { writeSparse } from '../../support/sparse-on-host.ts'
import { PowerCord, SparseFile, type SparseBytes } from '../../support/sparse-file.ts'
import {
  MIB,
  close,
  filled,
  flush,
  newGuid,
  newImage,
  openCopy,
  parentsOf,
  read,
  referenceTo,
  run,
  write,
} from '../../support/vhdx-images.ts'
import { seeded } from '../../support/seeded.ts'

const chance = seeded(Number(process.env['FC_SEED'] ?? 1))

const folder = mkdtempSync(join(tmpdir(), 'guestyard-jobs-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Steps to the end. How many. */
function finish(job: ImageJob): number {
  let steps = 1
  while (!job.step()) steps += 1
  expect(job.doneBytes).toBe(job.totalBytes)
  return steps
}

function findings(bytes: SparseBytes): readonly unknown[] {
  return checkVhdx(new SparseFile({ bytes, readOnly: true })).findings
}

function expectQemuAgrees(name: string, bytes: SparseBytes): void {
  if (noQemuImg !== undefined) return
  writeSparse(join(folder, name), bytes)
  expect(qemuImg('check', '-f', 'vhdx', join(folder, name))).toContain('No errors')
}

test('a disk grows while it is used, and the BAT moves where it has no room', () => {
  // 64 GiB of blocks of 1 MiB fill half of the BAT's MiB; a TiB does not fit.
  const { disk, file } = openCopy(newImage({ virtualBytes: 65536 * MIB }))
  write(disk, 7 * MIB, filled(4096, 1))
  finish(growVhdx(disk, 100_000 * MIB))
  expect(disk.geometry.blockCount).toBe(100_000 * 2048)
  write(disk, 99_999 * MIB, filled(4096, 2))
  const before = file.sizeBytes
  finish(growVhdx(disk, 1024 * 1024 * MIB))
  expect(file.sizeBytes).toBe(before + 9 * MIB)
  write(disk, (1024 * 1024 - 1) * MIB, filled(4096, 3))
  // What was the BAT is space for blocks now.
  write(disk, 8 * MIB, filled(4096, 4))
  flush(disk)
  const places = [7 * MIB, 99_999 * MIB, (1024 * 1024 - 1) * MIB, 8 * MIB]
  for (const opened of [disk, openCopy(file.bytes, { readOnly: true }).disk]) {
    expect(opened.geometry.blockCount).toBe(1024 * 1024 * 2048)
    expect(places.map((place) => read(opened, place, 512)[0])).toEqual([1, 2, 3, 4])
  }
  close(disk)
  expect(findings(file.bytes)).toEqual([])
  expectQemuAgrees('grown.vhdx', file.bytes)
})

test('a fixed disk grows by blocks that are all there, and shows nothing that lay beyond its end', () => {
  const { disk, file } = openCopy(newImage({ fixed: true, virtualBytes: 3 * MIB - 4096 }))
  // Another tool left something behind the end.
  file.bytes.write(4 * MIB + 3 * MIB - 4096, filled(4096, 9), 0, 4096)
  finish(growVhdx(disk, 8 * MIB))
  expect(read(disk, 0, 8 * MIB).every((byte) => byte === 0)).toBe(true)
  close(disk)
  const check = checkVhdx(new SparseFile({ bytes: file.bytes }))
  expect([check.findings, check.allocatedBlocks]).toEqual([[], 8])
  expectQemuAgrees('grown-fixed.vhdx', file.bytes)
})

test('a disk does not shrink, nor grow beyond the format, nor by half a sector', () => {
  const { disk } = openCopy(newImage())
  expect(() => growVhdx(disk, 3 * MIB)).toThrow(ImageError)
  expect(() => growVhdx(disk, 2 ** 46 + 512)).toThrow(/virtual disk size/)
  expect(() => growVhdx(disk, 4 * MIB + 1)).toThrow(/virtual disk size/)
})

test('a job that goes on beside a device leaves it to count its requests', () => {
  const { disk, file } = openCopy(newImage(), { slowSyncs: true })
  const request = new DiskRequest(1)
  request.operation = DiskOperation.WRITE_ZEROES
  request.blockCount = 8
  disk.submit(request)
  expect(request.status).toBe(DiskStatus.PENDING)
  const job = growVhdx(disk, 8 * MIB)
  for (let turn = 0; turn < 10; turn += 1) {
    file.endSyncs()
    job.step()
  }
  expect(job.step()).toBe(true)
  expect([request.status, disk.poll(1)]).toEqual([DiskStatus.OK, 1])
})

test('a disk that is closed ends the job on it', () => {
  const { disk, file } = openCopy(newImage(), { slowSyncs: true })
  const job = growVhdx(disk, 8 * MIB)
  expect(job.step()).toBe(false)
  disk.close()
  expect(() => job.step()).toThrow(/the disk was closed/)
  for (let turn = 0; turn < 10; turn += 1) {
    file.endSyncs()
    disk.poll(1)
  }
  expect(disk.closed).toBe(true)
  expect(openCopy(file.bytes).disk.geometry.blockCount).toBe(8192)
})

test('a child that is smaller than its parent never shows what the parent has behind its end', () => {
  const top = newImage({ virtualBytes: 8 * MIB })
  const middle = newImage({ virtualBytes: 4 * MIB, parent: referenceTo(top) })
  const { disk } = openCopy(middle, { parents: [top] })
  expect(() => growVhdx(disk, 8 * MIB)).toThrow(/its parent is larger/)
  finish(growVhdx(disk, 4 * MIB))

  const bottom = newImage({ virtualBytes: 8 * MIB, parent: referenceTo(middle, [top]) })
  const [child, parent] = [new SparseFile({ bytes: bottom }), new SparseFile({ bytes: middle })]
  const merge = (): unknown => mergeVhdx(child, parent, { newGuid, openParent: parentsOf([top]) })
  expect(merge).toThrow(/its parent is larger/)
})

test('without power at any time of a growth, the disk has the old size or the new one', () => {
  const start = newImage({ virtualBytes: 65536 * MIB })
  const { disk, file } = openCopy(start, { record: true })
  write(disk, 7 * MIB, filled(4096, 1))
  flush(disk)
  const flushed = file.changes.length
  finish(growVhdx(disk, 140_000 * MIB))
  write(disk, 9 * MIB, filled(4096, 1))
  flush(disk)
  close(disk)
  const cord = new PowerCord(start, file.changes)
  const sizes = new Set<number>()
  for (let at = 1; cord.step(); at += 1) {
    const found = openCopy(cord.cut(chance), { readOnly: true }).disk
    sizes.add(found.geometry.blockCount / 2048)
    if (at > flushed) expect(read(found, 7 * MIB, 512)[0]).toBe(1)
  }
  expect([...sizes]).toEqual([65536, 140_000])
})

test('compacting gives up zeros, moves what is left to the front, and cuts the rest off', () => {
  const { disk, file } = openCopy(newImage({ virtualBytes: 64 * MIB }))
  for (let block = 0; block < 40; block += 1) write(disk, block * MIB, filled(MIB, block + 1))
  for (let block = 0; block < 30; block += 1) write(disk, block * MIB, filled(MIB, 0))
  run(disk, DiskOperation.UNMAP, 35 * MIB, MIB)
  const before = file.sizeBytes
  finish(compactVhdx(disk))
  expect([before, file.sizeBytes]).toEqual([44 * MIB, 13 * MIB])
  for (let block = 30; block < 40; block += 1) {
    expect(read(disk, block * MIB + 512, 512)[0]).toBe(block === 35 ? 0 : block + 1)
  }
  write(disk, 0, filled(MIB, 77))
  close(disk)
  expect(findings(file.bytes)).toEqual([])
  expectQemuAgrees('compacted.vhdx', file.bytes)
})

test('without power at any time of compacting, the disk shows the same', () => {
  const { disk: first, file: made } = openCopy(newImage({ virtualBytes: 16 * MIB }))
  for (let block = 0; block < 12; block += 1) write(first, block * MIB, filled(4096, block + 1))
  for (let block = 0; block < 8; block += 2) run(first, DiskOperation.UNMAP, block * MIB, MIB)
  write(first, 5 * MIB, filled(4096, 0))
  close(first)
  const shown = read(openCopy(made.bytes).disk, 0, 16 * MIB)
  const { disk, file } = openCopy(made.bytes, { record: true })
  finish(compactVhdx(disk))
  close(disk)
  const cord = new PowerCord(made.bytes, file.changes)
  while (cord.step()) {
    const found = cord.cut(chance)
    const opened = openCopy(found, { readOnly: true }).disk
    for (let block = 0; block < 12; block += 1) {
      const bytes = read(opened, block * MIB, 4096)
      expect(bytes.every((byte) => byte === shown[block * MIB])).toBe(true)
    }
  }
})

/** A parent, and a child with a bit of everything. */
function chain(): { parent: SparseBytes; child: SparseBytes; shown: Uint8Array } {
  const { disk, file } = openCopy(newImage({ virtualBytes: 8 * MIB }))
  for (let block = 0; block < 6; block += 1) write(disk, block * MIB, filled(MIB, block + 1))
  close(disk)
  const parent = file.bytes
  const made = newImage({ virtualBytes: 12 * MIB, parent: referenceTo(parent) })
  const { disk: over, file: childFile } = openCopy(made, { parents: [parent] })
  write(over, 512, filled(1024, 101))
  write(over, MIB, filled(MIB, 102))
  run(over, DiskOperation.WRITE_ZEROES, 2 * MIB, MIB)
  run(over, DiskOperation.WRITE_ZEROES, 3 * MIB + 4096, 8192)
  write(over, 11 * MIB + 4096, filled(512, 103))
  const shown = read(over, 0, 12 * MIB)
  close(over)
  return { parent, child: childFile.bytes, shown }
}

test('a child shows its own sectors, and its parent beside them', () => {
  const { parent, child, shown } = chain()
  const bytes = read(openCopy(child, { parents: [parent] }).disk, 0, 12 * MIB)
  expect(Buffer.compare(bytes, shown)).toBe(0)
  const places = [0, 512, 1536, MIB, 2 * MIB, 3 * MIB, 3 * MIB + 4096, 5 * MIB, 6 * MIB]
  expect(places.map((place) => bytes[place])).toEqual([1, 101, 1, 102, 0, 4, 0, 6, 0])
})

test('a grandchild reads through both files before it', () => {
  const { parent, child } = chain()
  const made = newImage({ virtualBytes: 12 * MIB, parent: referenceTo(child, [parent]) })
  const { disk } = openCopy(made, { parents: [child, parent] })
  write(disk, 1536, filled(512, 104))
  const places = [0, 512, 1536, MIB, 5 * MIB, 11 * MIB + 4096]
  expect(places.map((place) => read(disk, place, 512)[0])).toEqual([1, 101, 104, 102, 6, 103])
})

test('a merged parent shows what its child showed', () => {
  const { parent, child, shown } = chain()
  const file = new SparseFile({ bytes: parent.copy() })
  finish(mergeVhdx(new SparseFile({ bytes: child.copy() }), file, { newGuid }))
  expect(findings(file.bytes)).toEqual([])
  const merged = openCopy(file.bytes, { readOnly: true }).disk
  expect(Buffer.compare(read(merged, 0, 12 * MIB), shown)).toBe(0)
  const childId = openCopy(child, { readOnly: true, parents: [parent] }).disk.geometry.uniqueId
  expect(merged.geometry.uniqueId).toEqual(childId)
  expectQemuAgrees('merged.vhdx', file.bytes)
})

test('stopped anywhere, a merge leaves a chain that shows the same, and can be begun again', () => {
  const { parent, child, shown } = chain()
  for (let stop = 0; stop < 28; stop += 7) {
    const files = [child, parent].map((bytes) => new SparseFile({ bytes: bytes.copy() }))
    const job = mergeVhdx(files[0]!, files[1]!, { newGuid })
    for (let step = 0; step < stop; step += 1) job.step()
    const left = files.map((file) => file.bytes)
    const open = parentsOf([left[1]!])
    const disk = openVhdx(new SparseFile({ bytes: left[0]!, readOnly: true }), {
      newGuid,
      openParent: open,
    })
    expect(Buffer.compare(read(disk, 0, 12 * MIB), shown)).toBe(0)
    const again = left.map((bytes) => new SparseFile({ bytes: bytes.copy() }))
    finish(mergeVhdx(again[0]!, again[1]!, { newGuid }))
    const merged = openCopy(again[1]!.bytes, { readOnly: true }).disk
    expect(Buffer.compare(read(merged, 0, 12 * MIB), shown)).toBe(0)
  }
})

test('what is no child of that parent is not merged, and a fixed image is not compacted', () => {
  const { parent, child } = chain()
  const other = new SparseFile({ bytes: newImage({ virtualBytes: 8 * MIB }) })
  expect(() => mergeVhdx(new SparseFile({ bytes: child }), other, { newGuid })).toThrow(
    /parent_linkage/,
  )
  expect(other.writeCount).toBe(0)
  const alone = new SparseFile({ bytes: parent })
  expect(() => mergeVhdx(alone, other, { newGuid })).toThrow(/has no parent/)
  expect(() => compactVhdx(openCopy(newImage({ fixed: true })).disk)).toThrow(/fixed/)
})

test('an image of 64 TiB opens at once, and takes little memory', () => {
  const blockBytes = 32 * MIB
  const image = newImage({ virtualBytes: 64 * 1024 * 1024 * MIB, blockBytes })
  const began = performance.now()
  const { disk } = openCopy(image)
  expect(performance.now() - began).toBeLessThan(2000)
  const end = 64 * 1024 * 1024 * MIB - 4096
  expect(write(disk, end, filled(4096, 5))).toBe(0)
  expect(close(disk)).toBe(0)
})
