// What a DVD drive says of itself and of its medium (MMC-6; the capabilities page: MMC-3). Everything is written at the start of
// `bytes`; the length is returned, 0 when there is no such answer.

import { putU16, putU32, u32 } from './cdb.ts'
import { ModePage, modeHeaderBytes, putModeHeader } from './mode-pages.ts'

export const DVD_BLOCK_BYTES = 2048
/** Blocks of the longest CD, 80 minutes: what has more is a DVD. */
const CD_BLOCKS_MAX = 80 * 60 * 75
const FRAMES_BEFORE_FIRST = 150

/** A data track that may not be copied: address 1, control 4. */
const DATA_TRACK = 0x14
const LEAD_OUT = 0xaa
const MSF = 0x02
const TocFormat = { TOC: 0, SESSIONS: 1 } as const

/** READ TOC/PMA/ATIP: one session with one track. */
export function composeToc(bytes: Uint8Array, cdb: Uint8Array, blockCount: number): number {
  const isMsf = (cdb[1]! & MSF) !== 0
  // Old drivers say it in the control byte.
  const format = cdb[2]! & 0x0f || cdb[9]! >>> 6
  const startTrack = cdb[6]!
  bytes.fill(0, 0, 20)
  bytes[2] = 1
  bytes[3] = 1
  let length = 4
  if (format === TocFormat.SESSIONS) {
    length = putTrack(bytes, length, 1, 0, isMsf)
  } else if (format === TocFormat.TOC) {
    if (startTrack > 1 && startTrack !== LEAD_OUT) return 0
    if (startTrack <= 1) length = putTrack(bytes, length, 1, 0, isMsf)
    length = putTrack(bytes, length, LEAD_OUT, blockCount, isMsf)
  } else {
    return 0
  }
  putU16(bytes, 0, length - 2)
  return length
}

function putTrack(
  bytes: Uint8Array,
  at: number,
  track: number,
  block: number,
  isMsf: boolean,
): number {
  bytes[at + 1] = DATA_TRACK
  bytes[at + 2] = track
  if (isMsf) {
    // Minutes of 60 seconds of 75 frames. A DVD has more than there are numbers for.
    const frame = Math.min(block + FRAMES_BEFORE_FIRST, 256 * 60 * 75 - 1)
    bytes[at + 5] = Math.floor(frame / 75 / 60)
    bytes[at + 6] = Math.floor(frame / 75) % 60
    bytes[at + 7] = frame % 75
  } else {
    putU32(bytes, at + 4, block)
  }
  return at + 8
}

const Profile = { NONE: 0x0000, CD_ROM: 0x0008, DVD_ROM: 0x0010 } as const
const RequestType = { ALL: 0, CURRENT: 1, ONE: 2 } as const
const PERSISTENT = 0x02
const CURRENT = 0x01
const CONFIGURATION_HEADER_BYTES = 8

interface Feature {
  readonly code: number
  readonly version: number
  /** Current with every medium, and without one. */
  readonly persistent: boolean
  /** Profile that the medium must have; null: any medium. */
  readonly profile: number | null
  readonly data: readonly number[]
}

const FEATURES: readonly Feature[] = [
  // Profiles, the medium's marked when it is answered: DVD-ROM and CD-ROM.
  feature(0x0000, 0, true, null, [0, Profile.DVD_ROM, 0, 0, 0, Profile.CD_ROM, 0, 0]),
  // Core: an interface of the SCSI family.
  feature(0x0001, 2, true, null, [0, 0, 0, 1, 0, 0, 0, 0]),
  // Morphing: no events of its own.
  feature(0x0002, 1, true, null, [0, 0, 0, 0]),
  // Removable medium: a tray that ejects and locks.
  feature(0x0003, 0, true, null, [0x29, 0, 0, 0]),
  // Random readable: blocks of 2,048 bytes, read one by one.
  feature(0x0010, 0, false, null, [0, 0, 0x08, 0, 0, 1, 0, 0]),
  feature(0x001e, 2, false, Profile.CD_ROM, [0, 0, 0, 0]),
  feature(0x001f, 0, false, Profile.DVD_ROM, []),
  // Time-outs: the drive answers in time.
  feature(0x0105, 0, true, null, []),
]

function feature(
  code: number,
  version: number,
  persistent: boolean,
  profile: number | null,
  data: readonly number[],
): Feature {
  return { code, version, persistent, profile, data }
}

/** GET CONFIGURATION. `blockCount` is 0 without a medium. */
export function composeConfiguration(
  bytes: Uint8Array,
  cdb: Uint8Array,
  blockCount: number,
): number {
  const requestType = cdb[1]! & 0x03
  const start = (cdb[2]! << 8) | cdb[3]!
  if (requestType > RequestType.ONE) return 0
  const profile = profileOf(blockCount)
  let length = CONFIGURATION_HEADER_BYTES
  for (const { code, version, persistent, profile: needed, data } of FEATURES) {
    const isCurrent =
      persistent || (profile !== Profile.NONE && (needed === null || needed === profile))
    const isAsked = requestType === RequestType.ONE ? code === start : code >= start
    if (!isAsked || (requestType === RequestType.CURRENT && !isCurrent)) continue
    putU16(bytes, length, code)
    bytes[length + 2] = (version << 2) | (persistent ? PERSISTENT : 0) | (isCurrent ? CURRENT : 0)
    bytes[length + 3] = data.length
    bytes.set(data, length + 4)
    if (code === 0) markProfile(bytes, length + 4, profile)
    length += 4 + data.length
  }
  putU32(bytes, 0, length - 4)
  putU16(bytes, 4, 0)
  putU16(bytes, 6, profile)
  return length
}

function markProfile(bytes: Uint8Array, at: number, profile: number): void {
  for (let entry = at; entry < at + 8; entry += 4) {
    if (bytes[entry + 1] === profile) bytes[entry + 2] = 1
  }
}

function profileOf(blockCount: number): number {
  if (blockCount === 0) return Profile.NONE
  return blockCount > CD_BLOCKS_MAX ? Profile.DVD_ROM : Profile.CD_ROM
}

/** What happened to the medium since it was last asked (GET EVENT STATUS NOTIFICATION, class 4). */
export const MediaEvent = { NONE: 0, NEW_MEDIA: 2, MEDIA_REMOVAL: 3 } as const
export type MediaEvent = (typeof MediaEvent)[keyof typeof MediaEvent]

const MEDIA_CLASS = 4
const NO_EVENT_AVAILABLE = 0x80
const TRAY_OPEN = 0x01
const MEDIA_PRESENT = 0x02

/** True when media events are among the classes that a GET EVENT STATUS NOTIFICATION asks for. */
export function asksForMediaEvents(cdb: Uint8Array): boolean {
  return (cdb[4]! & (1 << MEDIA_CLASS)) !== 0
}

/** GET EVENT STATUS NOTIFICATION: media events are the one class that there is. */
export function composeEvent(
  bytes: Uint8Array,
  cdb: Uint8Array,
  event: MediaEvent,
  isTrayOpen: boolean,
  hasMedium: boolean,
): number {
  bytes.fill(0, 0, 8)
  bytes[3] = 1 << MEDIA_CLASS
  if (!asksForMediaEvents(cdb)) {
    bytes[1] = 2
    bytes[2] = NO_EVENT_AVAILABLE
    return 4
  }
  bytes[1] = 6
  bytes[2] = MEDIA_CLASS
  bytes[4] = event
  bytes[5] = (isTrayOpen ? TRAY_OPEN : 0) | (hasMedium ? MEDIA_PRESENT : 0)
  return 8
}

const DISC_INFORMATION_BYTES = 34
/** A finished disc whose last session is complete. */
const FINISHED = 0x0e
const UNRESTRICTED_USE = 0x20

/** READ DISC INFORMATION, of the standard kind. */
export function composeDiscInformation(bytes: Uint8Array, cdb: Uint8Array): number {
  if ((cdb[1]! & 0x07) !== 0) return 0
  bytes.fill(0, 0, DISC_INFORMATION_BYTES)
  bytes[1] = DISC_INFORMATION_BYTES - 2
  bytes[2] = FINISHED
  // First track, sessions, first and last track of the last session.
  bytes.fill(1, 3, 7)
  bytes[7] = UNRESTRICTED_USE
  // Where a next session would begin, and how far it could go: it can't.
  bytes.fill(0xff, 16, 24)
  return DISC_INFORMATION_BYTES
}

const TRACK_INFORMATION_BYTES = 36
const AddressType = { BLOCK: 0, TRACK: 1, SESSION: 2 } as const
/** A data track that may not be copied; data of mode 1. */
const DATA_TRACK_MODE = 4
const DATA_MODE = 1

/** READ TRACK INFORMATION: the one track, by a block in it, by its number or by its session's. */
export function composeTrackInformation(
  bytes: Uint8Array,
  cdb: Uint8Array,
  blockCount: number,
): number {
  const type = cdb[1]! & 0x03
  const address = u32(cdb, 2)
  const isThere =
    type === AddressType.BLOCK ? address < blockCount : type <= AddressType.SESSION && address === 1
  if (!isThere) return 0
  bytes.fill(0, 0, TRACK_INFORMATION_BYTES)
  putU16(bytes, 0, TRACK_INFORMATION_BYTES - 2)
  bytes[2] = 1
  bytes[3] = 1
  bytes[5] = DATA_TRACK_MODE
  bytes[6] = DATA_MODE
  putU32(bytes, 24, blockCount)
  return TRACK_INFORMATION_BYTES
}

const DOOR_OPEN = 0x10

/** MECHANISM STATUS: a drive of one slot, which is no changer. */
export function composeMechanismStatus(bytes: Uint8Array, isTrayOpen: boolean): number {
  bytes.fill(0, 0, 8)
  bytes[1] = isTrayOpen ? DOOR_OPEN : 0
  bytes[5] = 1
  return 8
}

const CAPABILITIES_BYTES = 20
const READS_CD_R_CD_RW_DVD = 0x0b
/** Mode 2 forms 1 and 2, several sessions. */
const READS_FORMS = 0x70
const TRAY_LOCKS_EJECTS = 0x29
const LOCKED = 0x02
/** In KB/s, and the buffer in KB. */
const SPEED = 7056
const BUFFER = 512

/** MODE SENSE: the capabilities page, by itself or as all there is. */
export function composeDvdModes(
  bytes: Uint8Array,
  cdb: Uint8Array,
  isTen: boolean,
  isLocked: boolean,
): number {
  const page = cdb[2]! & 0x3f
  if (page !== ModePage.CAPABILITIES && page !== ModePage.ALL) return 0
  const at = modeHeaderBytes(isTen)
  const length = at + CAPABILITIES_BYTES
  bytes.fill(0, 0, length)
  putModeHeader(bytes, isTen, length, 0, 0)
  bytes[at] = ModePage.CAPABILITIES
  bytes[at + 1] = CAPABILITIES_BYTES - 2
  // Nothing of it can be changed.
  if (cdb[2]! >>> 6 === 1) return length
  bytes[at + 2] = READS_CD_R_CD_RW_DVD
  bytes[at + 4] = READS_FORMS
  bytes[at + 6] = TRAY_LOCKS_EJECTS | (isLocked ? LOCKED : 0)
  putU16(bytes, at + 8, SPEED)
  putU16(bytes, at + 12, BUFFER)
  putU16(bytes, at + 14, SPEED)
  return length
}
