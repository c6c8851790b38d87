import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { DiskOperation, checkVhdx, openVhdx } from '@guestyard/storage'
import { createBackingFile, openBackingFile } from '@guestyard/storage/file'
import { afterAll, describe, expect, test } from 'vitest'

import { noQemuImg, qemuImg } from '../../support/qemu-img.ts'
import { writeSparse } from '../../support/sparse-on-host.ts'
import {
  MIB,
  close,
  filled,
  flush,
  newGuid,
  newImage,
  openCopy,
  read,
  run,
  write,
} from '../../support/vhdx-images.ts'

const folder = mkdtempSync(join(tmpdir(), 'guestyard-vhdx-'))
afterAll(() => rmSync(folder, { recursive: true }))
const at = (name: string): string => join(folder, name)

/** A raw file with a few known bytes, and what they are. */
function rawFile(name: string, sizeBytes: number, places: readonly number[]): void {
  const fd = createBackingFile(at(name), { flush: 'sync' })
  fd.resize(sizeBytes)
  for (const place of places) fd.write(place, filled(4096, (place / 4096) % 251), 0, 4096)
  fd.close()
}

describe.skipIf(noQemuImg !== undefined)('beside qemu-img', () => {
  const places = [0, 4096, MIB - 4096, 5 * MIB, 11 * MIB + 8192]

  for (const subformat of ['dynamic', 'fixed']) {
    test(`a ${subformat} image of QEMU's is read, written, and still good to QEMU`, () => {
      const name = `qemu-${subformat}`
      rawFile(`${name}.raw`, 12 * MIB, places)
      const options = ['-o', `subformat=${subformat},block_size=2M`]
      qemuImg('convert', '-O', 'vhdx', ...options, at(`${name}.raw`), at(name))
      const disk = openVhdx(openBackingFile(at(name), { flush: 'sync' }), { newGuid })
      for (const place of places) {
        expect(read(disk, place, 4096)).toEqual(filled(4096, (place / 4096) % 251))
      }
      write(disk, 3 * MIB, filled(8192, 77))
      expect(close(disk)).toBe(0)
      const raw = openBackingFile(at(`${name}.raw`), { flush: 'sync' })
      raw.write(3 * MIB, filled(8192, 77), 0, 8192)
      raw.close()
      qemuImg('check', '-f', 'vhdx', at(name))
      qemuImg('compare', '-f', 'raw', '-F', 'vhdx', at(`${name}.raw`), at(name))
      expect(checkVhdx(openBackingFile(at(name), { readOnly: true })).findings).toEqual([])
    })
  }

  for (const [name, options] of Object.entries({
    dynamic: {},
    fixed: { fixed: true },
    'blocks of 8 MiB': { blockBytes: 8 * MIB },
  })) {
    test(`an image of ours (${name}) is good to QEMU, and has the same bytes`, () => {
      const { disk, file } = openCopy(newImage({ virtualBytes: 12 * MIB, ...options }))
      for (const place of places) write(disk, place, filled(4096, (place / 4096) % 251))
      expect(close(disk)).toBe(0)
      const path = at(name.replaceAll(' ', '-'))
      writeSparse(path, file.bytes)
      rawFile(`${name}.raw`, 12 * MIB, places)
      qemuImg('check', '-f', 'vhdx', path)
      qemuImg('compare', '-f', 'raw', '-F', 'vhdx', at(`${name}.raw`), path)
    })
  }

  test('an image with a log to replay is replayed by QEMU to the same bytes', () => {
    const { disk, file } = openCopy(newImage({ virtualBytes: 12 * MIB }))
    // 257 commits of one page each: two rings full, and one more. QEMU takes an old entry that lies behind the newest for a newer
    // one, if that is the first of the ring.
    const latest = new Map<number, number>()
    for (let commit = 0; commit < 257; commit += 1) {
      const place = ((commit * 7) % 12) * MIB
      const isThere = (latest.get(place) ?? 0) > 0
      latest.set(place, isThere ? 0 : (commit % 250) + 1)
      if (isThere) zero(disk, place)
      else write(disk, place, filled(4096, (commit % 250) + 1))
      flush(disk)
    }
    writeSparse(at('dirty'), file.bytes)
    const raw = new Uint8Array(12 * MIB)
    for (const [place, byte] of latest) raw.fill(byte, place, place + 4096)
    writeFileSync(at('dirty.raw'), raw)
    expect(qemuImg('check', '-r', 'all', '-f', 'vhdx', at('dirty'))).toContain('No errors')
    qemuImg('compare', '-f', 'raw', '-F', 'vhdx', at('dirty.raw'), at('dirty'))
    expect(checkVhdx(openBackingFile(at('dirty'), { readOnly: true })).findings).toEqual([])
  })

  test('a block that was given up and taken again by another shows none of its old bytes', () => {
    const { disk, file } = openCopy(newImage({ virtualBytes: 12 * MIB }))
    write(disk, 0, filled(MIB, 1))
    flush(disk)
    zero(disk, 0)
    flush(disk)
    write(disk, 5 * MIB + 4096, filled(4096, 2))
    close(disk)
    writeSparse(at('reused'), file.bytes)
    expect(statSync(at('reused')).size).toBe(5 * MIB)
    qemuImg('convert', '-f', 'vhdx', '-O', 'raw', at('reused'), at('reused.raw'))
    const raw = new Uint8Array(readFileSync(at('reused.raw')))
    const wanted = new Uint8Array(12 * MIB)
    wanted.fill(2, 5 * MIB + 4096, 5 * MIB + 8192)
    expect(raw.length === wanted.length && raw.every((byte, index) => byte === wanted[index])).toBe(
      true,
    )
  })
})

function zero(disk: Parameters<typeof write>[0], offset: number): void {
  run(disk, DiskOperation.WRITE_ZEROES, offset, MIB)
}
