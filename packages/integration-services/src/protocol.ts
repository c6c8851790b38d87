// The wire of the integration services: the framing that they all share, and heartbeat, shutdown and time synchronisation. Layout
// only; behaviour is in vsp/ and vsc/.
//
// The host always asks and the guest answers, in the buffer that it was asked in: same length, same ring transaction id. Each packet is a
// pipe header (hvdef, PipeHeader), an IC header and a body. Whenever a channel is opened its versions are agreed on first.
//
// Sources: openvmm vm/devices/hyperv_ic_protocol/src/{lib,heartbeat,shutdown,timesync}.rs; Linux drivers/hv/{hv_util,channel_mgmt}.c and
// include/linux/hyperv.h as facts.

import { VmbusClasses, bytes, struct, u16, u32, u64, u8 } from '@guestyard/hvdef'
import type { Guid } from '@guestyard/hvdef'

// ── Framing ─────────────────────────────────────────────────────────────────────────────────────────────

/** What a message is about. */
export const IcMessage = {
  NEGOTIATE: 0,
  HEARTBEAT: 1,
  SHUTDOWN: 3,
  TIME_SYNC: 4,
} as const
export type IcMessage = (typeof IcMessage)[keyof typeof IcMessage]

/** Flags of an IC header. */
export const IcFlags = { TRANSACTION: 1, REQUEST: 2, RESPONSE: 4 } as const

/** How a request ended: an HRESULT. Values from a guest are open. */
export const IcStatus = {
  OK: 0,
  FAIL: 0x8000_4005,
  NOT_SUPPORTED: 0x8007_0032,
  INVALID_ARGUMENT: 0x8007_0057,
} as const

/** Head of every message. 20 bytes, behind the pipe header. */
export const IcHeader = struct('IC_MESSAGE_HEADER', 20, {
  frameworkMajor: u16(0),
  frameworkMinor: u16(2),
  messageType: u16(4), //   IcMessage
  messageMajor: u16(6),
  messageMinor: u16(8),
  messageSize: u16(10), //  bytes of the body
  status: u32(12), //       IcStatus, of a response
  transactionId: u8(16),
  flags: u8(17), //         IcFlags
  reserved: u16(18),
})

/** Body of NEGOTIATE: so many framework versions follow, then so many message versions, of 4 bytes each. 8 bytes. */
export const IcNegotiate = struct('IC_NEGOTIATE', 8, {
  frameworkCount: u16(0),
  messageCount: u16(2),
  reserved: u32(4),
})
/** One version: major u16, minor u16. */
export const IC_VERSION_BYTES = 4
/** Most versions of both kinds together that a guest looks at. */
export const IC_VERSIONS_MAX = 100

/** A version as a number that compares as versions do: major in the high half. */
export type IcVersion = number

export function icVersion(major: number, minor: number): IcVersion {
  return major * 0x1_0000 + minor
}

export function majorOf(version: IcVersion): number {
  return Math.floor(version / 0x1_0000)
}

export function minorOf(version: IcVersion): number {
  return version % 0x1_0000
}

/** Framework versions, ascending. */
export const FRAMEWORK_VERSIONS: readonly IcVersion[] = [icVersion(1, 0), icVersion(3, 0)]

/** Data bytes of each ring as the guest opens them: room for any request, of which there is one at a time. */
export const IC_RING_BYTES = 4096

// ── Heartbeat ───────────────────────────────────────────────────────────────────────────────────────────

export const HEARTBEAT_CLASS_ID: Guid = VmbusClasses.heartbeat.interfaceId
export const HEARTBEAT_INSTANCE_ID: Guid = VmbusClasses.heartbeat.instanceId
export const HEARTBEAT_VERSIONS: readonly IcVersion[] = [icVersion(1, 0), icVersion(3, 0)]
/** The host asks so often, milliseconds. */
export const HEARTBEAT_INTERVAL_MS = 2_000

/** How the guest's applications are. Linux leaves it as it was sent: unknown. */
export const ApplicationState = { UNKNOWN: 0, HEALTHY: 1, CRITICAL: 2, STOPPED: 3 } as const

/** Body of HEARTBEAT. 40 bytes; the guest answers with the sequence number raised by one. */
export const HeartbeatBody = struct('IC_HEARTBEAT', 40, {
  sequence: u64(0),
  applicationState: u32(8), // ApplicationState
  reserved: bytes(12, 28),
})

// ── Shutdown ────────────────────────────────────────────────────────────────────────────────────────────

export const SHUTDOWN_CLASS_ID: Guid = VmbusClasses.shutdown.interfaceId
export const SHUTDOWN_INSTANCE_ID: Guid = VmbusClasses.shutdown.instanceId
export const SHUTDOWN_VERSIONS: readonly IcVersion[] = [
  icVersion(1, 0),
  icVersion(3, 0),
  icVersion(3, 1),
  icVersion(3, 2),
]

/** What is to be done. */
export const ShutdownFlags = {
  FORCE: 1, //     do not ask applications
  RESTART: 2,
  HIBERNATE: 4,
} as const
/** Reason: an operator's, planned. */
export const SHUTDOWN_REASON_PLANNED = 0x8000_0000
const SHUTDOWN_TEXT_BYTES = 2048

/** Body of SHUTDOWN. 2060 bytes, sent in full. */
export const ShutdownBody = struct('IC_SHUTDOWN', 2060, {
  reason: u32(0),
  timeoutSeconds: u32(4),
  flags: u32(8), // ShutdownFlags
  reservedText: bytes(12, SHUTDOWN_TEXT_BYTES), // a message for people; its encoding is not documented
})

// ── Time synchronisation ────────────────────────────────────────────────────────────────────────────────

export const TIME_SYNC_CLASS_ID: Guid = VmbusClasses.timeSync.interfaceId
export const TIME_SYNC_INSTANCE_ID: Guid = VmbusClasses.timeSync.instanceId
export const TIME_SYNC_VERSIONS: readonly IcVersion[] = [
  icVersion(1, 0),
  icVersion(3, 0),
  icVersion(4, 0),
]
/** From this version on a sample carries the reference time at which it was taken. */
export const TIME_SYNC_REFERENCE_VERSION: IcVersion = icVersion(4, 0)
/** The host sends a sample so often, milliseconds. */
export const TIME_SAMPLE_INTERVAL_MS = 5_000

/** Flags of a sample. */
export const TimeSyncFlags = {
  SYNC: 1, //    set the clock to it
  SAMPLE: 2, //  steer by it
} as const

/** Host times count 100 ns from 1601-01-01 UTC; this is where 1970-01-01 lies. */
export const UNIX_EPOCH_100NS = 116_444_736_000_000_000n

/** Body of TIME_SYNC before 4.0. 28 bytes. */
export const TimeSyncBody = struct('IC_TIME_SYNC', 28, {
  parentTime: u64(0), //     100 ns since 1601
  childTime: u64(8),
  roundTripTime: u64(16),
  flags: u8(24), //          TimeSyncFlags
  padding: bytes(25, 3),
})

/** Body of TIME_SYNC from 4.0 on. 24 bytes. */
export const TimeSyncReferenceBody = struct('IC_TIME_SYNC_REF', 24, {
  parentTime: u64(0), //     100 ns since 1601
  referenceTime: u64(8), //  the guest's TIME_REF_COUNT at that moment
  flags: u8(16), //          TimeSyncFlags
  leapFlags: u8(17),
  stratum: u8(18),
  padding: bytes(19, 5),
})
