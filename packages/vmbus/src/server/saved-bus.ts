// A bus as a record: the shortest conversation by which a guest leads a new server to where this one is, and what its programs know
// beside. Restoring has that conversation again, by the same handlers that a guest's messages meet, and swallows the answers: the guest
// has had them. So a record can do no more than a guest.
//
//   INITIATE_CONTACT, REQUESTOFFERS, a GPADL_HEADER for each GPADL, an OPENCHANNEL for each open channel; then the programs

import {
  EmptyMessage,
  GpadlHeaderMessage,
  InitiateContactMessage,
  OpenChannelMessage,
  VMBUS_SINT,
  VmbusMessageType,
} from '@guestyard/hvdef'
import type { Guid } from '@guestyard/hvdef'

import type { SavedProgram } from '../channel.ts'
import type { SavedGpadl } from './gpadls.ts'
import type { HostChannel } from './host-channel.ts'

/** Of the record. A change of its shape is another number. */
export const SAVED_BUS_VERSION = 1

/** Plain data. */
export interface SavedBus {
  readonly version: number
  /** Null: the guest had no connection. */
  readonly connection: SavedConnection | null
}

export interface SavedConnection {
  /** VmbusVersion that is spoken. */
  readonly busVersion: number
  readonly targetVp: number
  readonly gpadls: readonly SavedGpadl[]
  /** Every channel that the guest knows. */
  readonly channels: readonly SavedChannel[]
}

export interface SavedChannel {
  readonly relid: number
  readonly classId: Guid
  readonly instanceId: Guid
  /** Null: it is closed. */
  readonly opened: SavedOpening | null
}

export interface SavedOpening {
  readonly ringGpadlId: number
  readonly targetVp: number
  readonly downstreamPageOffset: number
  readonly userDefined: Uint8Array
  readonly program: SavedProgram
}

/** Why there is no record. `mayChange`: the guest has to run a little for that, and is asked again. */
export interface Unsaved {
  readonly unsaved: string
  readonly mayChange: boolean
}

/** A channel, or why it can't be saved. */
export function saveChannel(record: HostChannel): SavedChannel | Unsaved {
  const { relid, state, opened, offered } = record
  const { classId, instanceId } = offered
  const name = `channel ${relid} (device class ${classId})`
  if (record.primary !== undefined) {
    return { unsaved: `${name} is a sub-channel, which can't be saved`, mayChange: false }
  }
  if (state === 'closed') return { relid, classId, instanceId, opened: null }
  const program = opened?.life === 'running' ? opened.entry?.program : undefined
  if (state !== 'open' || opened === undefined || program === undefined) {
    return { unsaved: `${name} is being opened or closed`, mayChange: true }
  }
  if (program.save === undefined || opened.mappedCount > 0) {
    return { unsaved: `${name}: a device of this kind can't be saved`, mayChange: false }
  }
  const saved = program.save()
  if (saved === null) return { unsaved: `${name} is at work`, mayChange: true }
  const { ringGpadlId, targetVp, downstreamPageOffset, userDefined } = opened
  return {
    relid,
    classId,
    instanceId,
    opened: { ringGpadlId, targetVp, downstreamPageOffset, userDefined, program: saved },
  }
}

export function contactOf({ busVersion, targetVp }: SavedConnection): Uint8Array {
  return InitiateContactMessage.pack({
    messageType: VmbusMessageType.INITIATE_CONTACT,
    version: busVersion,
    targetVp,
    targetSint: VMBUS_SINT,
    targetVtl: 0,
    featureFlags: 0,
    parentToChildMonitorGpa: 0n,
    childToParentMonitorGpa: 0n,
  })
}

export function requestOffersMessage(): Uint8Array {
  return EmptyMessage.pack({ messageType: VmbusMessageType.REQUESTOFFERS })
}

/** Longer than a message may be: it has no bodies. */
export function gpadlHeaderOf({ relid, id, rangeCount, rangeData }: SavedGpadl): Uint8Array {
  const header = GpadlHeaderMessage.pack({
    messageType: VmbusMessageType.GPADL_HEADER,
    channelId: relid,
    gpadlId: id,
    rangeBytes: rangeData.length,
    rangeCount,
  })
  const message = new Uint8Array(header.length + rangeData.length)
  message.set(header)
  message.set(rangeData, header.length)
  return message
}

export function openChannelOf(relid: number, opening: SavedOpening): Uint8Array {
  const { ringGpadlId, targetVp, downstreamPageOffset, userDefined } = opening
  return OpenChannelMessage.pack({
    messageType: VmbusMessageType.OPENCHANNEL,
    channelId: relid,
    openId: 0,
    ringGpadlId,
    targetVp,
    downstreamPageOffset,
    userDefined,
  })
}
