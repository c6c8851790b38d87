// Mode parameters of a disk (SPC-4, sections 6.11 to 6.14 and 7.5; SBC-3, section 6.5): the caching page, whose write cache bit an
// initiator may change, and the control page.
//
//   MODE SENSE (6):   length, medium, flags, descriptor bytes                          then pages
//   MODE SENSE (10):  length u16, medium, flags, 0, 0, descriptor bytes u16            then pages

import { putU16, u16 } from './cdb.ts'
import { Sense } from './sense.ts'

export const ModePage = {
  CACHING: 0x08,
  CONTROL: 0x0a,
  /** CD/DVD capabilities and mechanical status (MMC-3, section 5.5.10). */
  CAPABILITIES: 0x2a,
  ALL: 0x3f,
} as const

/** What of a page is asked for. */
const PageControl = { CURRENT: 0, CHANGEABLE: 1, DEFAULT: 2, SAVED: 3 } as const

const WRITE_PROTECTED = 0x80
const DPO_AND_FUA = 0x10
const WRITE_CACHE = 0x04
const CACHING_BYTES = 20
const CONTROL_BYTES = 12
/** Commands may be reordered as the unit likes. */
const UNRESTRICTED_REORDERING = 0x10
const BUSY_TIMEOUT_UNLIMITED = 0xffff
const ALL_SUBPAGES = 0xff

/** The header's bytes: 4, or 8 for the command of 10. */
export function modeHeaderBytes(isTen: boolean): number {
  return isTen ? 8 : 4
}

/** Completes a header before `lengthBytes` in all of mode data. No block descriptors. */
export function putModeHeader(
  bytes: Uint8Array,
  isTen: boolean,
  lengthBytes: number,
  medium: number,
  flags: number,
): void {
  if (isTen) {
    putU16(bytes, 0, lengthBytes - 2)
    bytes[2] = medium
    bytes[3] = flags
  } else {
    bytes[0] = lengthBytes - 1
    bytes[1] = medium
    bytes[2] = flags
  }
}

/** What a disk's mode parameters are now. */
export interface DiskModes {
  readonly writeCache: boolean
  readonly defaultWriteCache: boolean
  readonly readOnly: boolean
}

/** True when a MODE SENSE asks for saved values, which there aren't. */
export function asksForSaved(cdb: Uint8Array): boolean {
  return cdb[2]! >>> 6 === PageControl.SAVED
}

/** Writes header and pages. How many bytes that is; 0 when the CDB asks for a page that there isn't. */
export function composeDiskModes(
  bytes: Uint8Array,
  cdb: Uint8Array,
  isTen: boolean,
  modes: DiskModes,
): number {
  const page = cdb[2]! & 0x3f
  const control = cdb[2]! >>> 6
  const subpage = cdb[3]!
  const all = page === ModePage.ALL
  if (subpage !== 0 && !(all && subpage === ALL_SUBPAGES)) return 0
  let length = modeHeaderBytes(isTen)
  bytes.fill(0, 0, length + CACHING_BYTES + CONTROL_BYTES)
  if (all || page === ModePage.CACHING) {
    const changeable = control === PageControl.CHANGEABLE
    const on = control === PageControl.DEFAULT ? modes.defaultWriteCache : modes.writeCache
    putCaching(bytes, length, changeable || on)
    length += CACHING_BYTES
  }
  if (all || page === ModePage.CONTROL) {
    putControl(bytes, length, control)
    length += CONTROL_BYTES
  }
  if (length === modeHeaderBytes(isTen)) return 0
  putModeHeader(bytes, isTen, length, 0, (modes.readOnly ? WRITE_PROTECTED : 0) | DPO_AND_FUA)
  return length
}

function putCaching(bytes: Uint8Array, at: number, writeCache: boolean): void {
  bytes[at] = ModePage.CACHING
  bytes[at + 1] = CACHING_BYTES - 2
  bytes[at + 2] = writeCache ? WRITE_CACHE : 0
}

function putControl(bytes: Uint8Array, at: number, control: number): void {
  bytes[at] = ModePage.CONTROL
  bytes[at + 1] = CONTROL_BYTES - 2
  if (control === PageControl.CHANGEABLE) return
  bytes[at + 3] = UNRESTRICTED_REORDERING
  putU16(bytes, at + 8, BUSY_TIMEOUT_UNLIMITED)
}

/** What a parameter list of MODE SELECT asks for. */
export class ModeSelection {
  /** A `Sense`, 0 when the list is good. */
  sense: Sense = Sense.NO_SENSE
  writeCache = false
}

/**
 * Looks at the parameter list of MODE SELECT, a private copy of `lengthBytes`. Every bit but the write cache's must be as MODE SENSE
 * shows it.
 */
export function parseDiskModes(
  bytes: Uint8Array,
  lengthBytes: number,
  isTen: boolean,
  modes: DiskModes,
  selection: ModeSelection,
): void {
  selection.writeCache = modes.writeCache
  const header = modeHeaderBytes(isTen)
  selection.sense = Sense.NO_SENSE
  if (lengthBytes < header) {
    selection.sense = Sense.PARAMETER_LIST_LENGTH_ERROR
    return
  }
  // Block descriptors would set another block length: this disk sends none and takes none.
  const descriptorBytes = isTen ? u16(bytes, 6) : bytes[3]!
  if (descriptorBytes !== 0) selection.sense = Sense.INVALID_FIELD_IN_PARAMETER_LIST
  let at = header
  while (at < lengthBytes && selection.sense === Sense.NO_SENSE) {
    at = parsePage(bytes, at, lengthBytes, selection)
  }
}

const PAGE_BYTES: Readonly<Record<number, number>> = {
  [ModePage.CACHING]: CACHING_BYTES,
  [ModePage.CONTROL]: CONTROL_BYTES,
}

/** A page as MODE SENSE would show it. */
const shown = new Uint8Array(CACHING_BYTES)

/** One page. Where the next begins. */
function parsePage(
  bytes: Uint8Array,
  at: number,
  lengthBytes: number,
  selection: ModeSelection,
): number {
  const page = bytes[at]! & 0x7f
  const pageBytes = PAGE_BYTES[page] ?? 0
  if (pageBytes === 0) {
    selection.sense = Sense.INVALID_FIELD_IN_PARAMETER_LIST
  } else if (pageBytes > lengthBytes - at) {
    selection.sense = Sense.PARAMETER_LIST_LENGTH_ERROR
  } else {
    shown.fill(0)
    if (page === ModePage.CACHING) {
      selection.writeCache = (bytes[at + 2]! & WRITE_CACHE) !== 0
      putCaching(shown, 0, selection.writeCache)
    } else {
      putControl(shown, 0, PageControl.CURRENT)
    }
    for (let index = 1; index < pageBytes; index++) {
      if (bytes[at + index] !== shown[index]) {
        selection.sense = Sense.INVALID_FIELD_IN_PARAMETER_LIST
      }
    }
  }
  return at + pageBytes
}
