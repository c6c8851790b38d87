// The wire of StorVSP and StorVSC: SCSI requests as VMBus packets. Layout only; behaviour is in vsp/ and vsc/.
//
// Every packet is 64 bytes (48 before protocol 5.1): a head of 12 bytes and a body by operation. A request asks for a completion,
// whose payload is the answer, of the same size. Data travels as one GPA range beside the packet.
//
// Sources: openvmm vm/devices/storage/storvsp_protocol/src/lib.rs; Linux drivers/scsi/storvsc_drv.c as facts.

import { VmbusClasses, bytes, struct, u16, u32, u8 } from '@guestyard/hvdef'
import type { Guid } from '@guestyard/hvdef'

/** Class under which SCSI controllers are offered. */
export const SCSI_CLASS_ID: Guid = VmbusClasses.scsi.interfaceId

/** What a packet asks for. G from the guest, H from the host. */
export const StorOperation = {
  COMPLETE_IO: 1, //            H: the answer to any request
  REMOVE_DEVICE: 2, //          H, unsolicited: the guest looks for LUNs again
  EXECUTE_SRB: 3, //            G
  RESET_LUN: 4, //              G
  RESET_ADAPTER: 5, //          G
  RESET_BUS: 6, //              G
  BEGIN_INITIALIZATION: 7, //   G
  END_INITIALIZATION: 8, //     G
  QUERY_PROTOCOL_VERSION: 9, // G
  QUERY_PROPERTIES: 10, //      G
  ENUMERATE_BUS: 11, //         H, unsolicited: the guest looks for LUNs again
  FC_HBA_DATA: 12, //           G, Fibre Channel only
  CREATE_SUB_CHANNELS: 13, //   G
  EVENT_NOTIFICATION: 14, //    H
} as const
export type StorOperation = (typeof StorOperation)[keyof typeof StorOperation]

/** Protocol versions, major in the high byte. The name is the Windows that brought it. */
export const StorVersion = {
  WIN6: 0x0200,
  WIN7: 0x0402,
  WIN8: 0x0501,
  WIN8_1: 0x0600,
  WIN10: 0x0602,
} as const
export type StorVersion = (typeof StorVersion)[keyof typeof StorVersion]

/** Status of a reply: NTSTATUS values. */
export const StorStatus = {
  SUCCESS: 0,
  INVALID_PARAMETER: 0xc000_000d,
  /** The command had more to move than there was room for; what fitted was moved. */
  DATA_OVERRUN: 0xc000_003c,
  /** A version that the host does not speak. */
  REVISION_MISMATCH: 0xc000_0059,
  /** There is no logical unit there. */
  DEVICE_DOES_NOT_EXIST: 0xc000_00c0,
  /** Given up by a reset, or because the channel closes. */
  CANCELLED: 0xc000_0120,
  /** Not now: the handshake is not so far, or is over. */
  INVALID_DEVICE_STATE: 0xc000_0184,
  /** The SCSI status says what went wrong. */
  IO_DEVICE_ERROR: 0xc000_0185,
} as const
export type StorStatus = (typeof StorStatus)[keyof typeof StorStatus]

/** How a SCSI request ended, bits 5:0 of `srbStatus`. */
export const SrbStatus = {
  SUCCESS: 0x01,
  ABORTED: 0x02,
  ERROR: 0x04,
  /** To be sent again later. */
  BUSY: 0x05,
  INVALID_REQUEST: 0x06,
  NO_DEVICE: 0x08,
  TIMEOUT: 0x09,
  DATA_OVERRUN: 0x12,
  INVALID_LUN: 0x20,
  INVALID_TARGET: 0x21,
} as const
export type SrbStatus = (typeof SrbStatus)[keyof typeof SrbStatus]
/** Bits of `srbStatus` that are the status. */
export const SRB_STATUS_MASK = 0x3f
/** Bit of `srbStatus`: there is sense data. */
export const SRB_STATUS_AUTOSENSE_VALID = 0x80

/** SRB direction: the data goes to the device, comes from it, or there is none. */
export const SrbDirection = { WRITE: 0, READ: 1, NONE: 2 } as const
export type SrbDirection = (typeof SrbDirection)[keyof typeof SrbDirection]

/** SRB flags that drivers set (ntddk `SRB_FLAGS_*`). */
export const SrbFlags = {
  QUEUE_ACTION_ENABLE: 0x2,
  DISABLE_SYNCH_TRANSFER: 0x8,
  DATA_IN: 0x40,
  DATA_OUT: 0x80,
} as const

/** Head flag: the sender wants a completion. */
export const STOR_FLAG_COMPLETION_REQUESTED = 0x1
/** QUERY_PROPERTIES flag: the guest may ask for sub-channels. */
export const STOR_PROPERTY_MULTI_CHANNEL = 0x1

/** Bytes of a packet, from protocol 5.1 on and before. */
export const STOR_PACKET_BYTES = 64
export const STOR_PACKET_BYTES_WIN7 = 48
/** Bytes of the request in EXECUTE_SRB, from 5.1 on and before. */
export const SRB_BYTES = 52
export const SRB_BYTES_WIN7 = 36

export const CDB_BYTES = 16
/** Room for sense data in a reply. */
export const SENSE_ROOM_BYTES = 20

/** VSTOR_PACKET head. 12 bytes. */
export const StorHeader = struct('VSTOR_PACKET', 12, {
  operation: u32(0), // StorOperation
  flags: u32(4), //     STOR_FLAG_COMPLETION_REQUESTED
  status: u32(8), //    StorStatus, in replies
})

/** QUERY_PROTOCOL_VERSION. 16 bytes. */
export const StorProtocolVersion = struct('VMSTORAGE_PROTOCOL_VERSION', 16, {
  operation: u32(0),
  flags: u32(4),
  status: u32(8),
  version: u16(12), //  StorVersion
  revision: u16(14), // 0
})

/** The reply to QUERY_PROPERTIES. 36 bytes. */
export const StorProperties = struct('VMSTORAGE_CHANNEL_PROPERTIES', 36, {
  operation: u32(0),
  flags: u32(4),
  status: u32(8),
  reserved: u32(12),
  maxSubChannels: u16(16),
  reserved2: u16(18),
  propertyFlags: u32(20), //    STOR_PROPERTY_MULTI_CHANNEL
  maxTransferBytes: u32(24), // of one request
  reserved3: bytes(28, 8),
})

/** CREATE_SUB_CHANNELS. 14 bytes. */
export const StorCreateSubChannels = struct('VSTOR_CREATE_SUB_CHANNELS', 14, {
  operation: u32(0),
  flags: u32(4),
  status: u32(8),
  count: u16(12), // sub-channels beside the primary
})

/** EXECUTE_SRB, with the request as versions from 5.1 on have it. Before, it ends with `payload`. 64 bytes. */
export const StorExecuteSrb = struct('VMSCSI_REQUEST', 64, {
  operation: u32(0),
  flags: u32(4),
  status: u32(8),
  length: u16(12), //             SRB_BYTES
  srbStatus: u8(14), //           SrbStatus and SRB_STATUS_AUTOSENSE_VALID, in replies
  scsiStatus: u8(15), //          in replies
  portNumber: u8(16), //          not looked at
  pathId: u8(17),
  targetId: u8(18),
  lun: u8(19),
  cdbLength: u8(20), //           1..16
  senseLength: u8(21), //         room in the request, valid bytes in the reply
  direction: u8(22), //           SrbDirection
  properties: u8(23),
  dataTransferLength: u32(24), // bytes wanted, bytes moved
  payload: bytes(28, 20), //      the CDB, or sense data in replies
  reserved: u16(48),
  queueTag: u8(50), //            0xff: none
  queueAction: u8(51), //         0x20: simple
  srbFlags: u32(52), //           SrbFlags
  timeoutSeconds: u32(56),
  queueSortKey: u32(60),
})

/** Transfer limit that the host states when its owner does not say: what openvmm states. */
export const STOR_MAX_TRANSFER_BYTES = 256 * 1024
/** Sub-channels beside the primary when the owner does not say. */
export const STOR_SUB_CHANNELS_MAX = 16
/** Data bytes of each ring as Linux opens them: 128 KiB with the control page. */
export const STOR_RING_BYTES = 31 * 4096
