// A new VHD, in a new file.

import { assert } from '@guestyard/hvdef'

import { FileStatus } from '../backing-file.ts'
import type { BackingFile } from '../backing-file.ts'
import { writeZeros } from '../zeros.ts'
import { ImageError } from '../image.ts'
import { DEFAULT_BLOCK_BYTES, Header, SECTOR_BYTES, VHD_MAX_BYTES, tableBytesOf } from './format.ts'
import { makeFooter, makeHeader, readLayout, resizedFooter } from './structures.ts'

export interface CreateVhdOptions {
  /** A multiple of 512, at most 2,040 GiB. */
  readonly sizeBytes: number
  /** All of the disk is in the file from the start. The host backs it when it is written. False when left out. */
  readonly fixed?: boolean
  /** Dynamic only: a power of two from 512 KiB to 2 MiB; 2 MiB when left out. */
  readonly blockBytes?: number
  /** 16 random bytes that name the disk. */
  readonly uniqueId: Uint8Array
  /** Now, in milliseconds since 1970. */
  readonly createdAtMs: number
}

/** Fills an empty file. Throws an ImageError when the options can't be met, or the host has no room. It syncs nothing. */
export function createVhd(file: BackingFile, options: CreateVhdOptions): void {
  const { sizeBytes, blockBytes = DEFAULT_BLOCK_BYTES } = options
  assert(file.sizeBytes === 0, 'A new image is made in an empty file.')
  if (sizeBytes <= 0 || sizeBytes % SECTOR_BYTES !== 0 || sizeBytes > VHD_MAX_BYTES) {
    throw new ImageError(file.name, 'size', `${sizeBytes} is no multiple of 512 up to 2,040 GiB`)
  }
  if (options.fixed === true) {
    write(file, sizeBytes, makeFooter({ kind: 'fixed', ...options }))
    return
  }
  if (blockBytes !== 2 ** 19 && blockBytes !== 2 ** 20 && blockBytes !== 2 ** 21) {
    throw new ImageError(file.name, 'block size', `${blockBytes} is not 512 KiB, 1 MiB or 2 MiB`)
  }
  const entries = Math.ceil(sizeBytes / blockBytes)
  const tableOffset = SECTOR_BYTES + Header.size
  const footer = makeFooter({ kind: 'dynamic', ...options })
  const table = new Uint8Array(tableBytesOf(entries)).fill(0xff)
  write(file, 0, footer)
  write(file, SECTOR_BYTES, makeHeader(tableOffset, entries, blockBytes))
  write(file, tableOffset, table)
  write(file, tableOffset + table.length, footer)
}

/** Makes the disk of a fixed VHD larger, durably: the new footer first, then zeros where the old one was. Throws an ImageError. */
export function growFixedVhd(file: BackingFile, sizeBytes: number): void {
  const layout = readLayout(file)
  const oldFooterAt = file.sizeBytes - SECTOR_BYTES
  const footerAt = Math.max(sizeBytes, oldFooterAt)
  write(file, footerAt, resizedFooter(layout.footer, sizeBytes))
  sync(file)
  const zerosEnd = Math.min(footerAt, oldFooterAt + SECTOR_BYTES)
  if (writeZeros(file, layout.sizeBytes, zerosEnd - layout.sizeBytes) !== FileStatus.OK) {
    throw new ImageError(file.name, '', `can't be written: ${file.lastError}`)
  }
  sync(file)
}

function sync(file: BackingFile): void {
  if (file.syncStatus(file.sync()) === FileStatus.OK) return
  throw new ImageError(file.name, '', `can't be written: ${file.lastError}`)
}

function write(file: BackingFile, position: number, bytes: Uint8Array): void {
  if (file.write(position, bytes, 0, bytes.length) === FileStatus.OK) return
  throw new ImageError(file.name, '', `can't be written: ${file.lastError}`)
}
