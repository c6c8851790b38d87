// What each message type is: who sends it, since when, and in which form.

import * as m from './vmbus-messages.ts'
import { VmbusFeature, VmbusMessageType, VmbusVersion } from './vmbus.ts'

/**
 * Every form of every message by name. Most types have one form; OPENCHANNEL, INITIATE_CONTACT,
 * VERSION_RESPONSE and TL_CONNECT_REQUEST have longer ones under the same type number.
 */
export const VmbusMessageForms = {
  OFFERCHANNEL: m.OfferChannelMessage,
  RESCIND_CHANNELOFFER: m.ChannelMessage,
  REQUESTOFFERS: m.EmptyMessage,
  ALLOFFERS_DELIVERED: m.EmptyMessage,
  OPENCHANNEL: m.OpenChannelMessage,
  OPENCHANNEL2: m.OpenChannel2Message,
  OPENCHANNEL_RESULT: m.OpenChannelResultMessage,
  CLOSECHANNEL: m.ChannelMessage,
  GPADL_HEADER: m.GpadlHeaderMessage,
  GPADL_BODY: m.GpadlBodyMessage,
  GPADL_CREATED: m.GpadlCreatedMessage,
  GPADL_TEARDOWN: m.GpadlTeardownMessage,
  GPADL_TORNDOWN: m.GpadlTorndownMessage,
  RELID_RELEASED: m.ChannelMessage,
  INITIATE_CONTACT_LEGACY: m.InitiateContactLegacyMessage,
  INITIATE_CONTACT: m.InitiateContactMessage,
  INITIATE_CONTACT2: m.InitiateContact2Message,
  VERSION_RESPONSE: m.VersionResponseMessage,
  VERSION_RESPONSE2: m.VersionResponse2Message,
  VERSION_RESPONSE3: m.VersionResponse3Message,
  UNLOAD: m.EmptyMessage,
  UNLOAD_RESPONSE: m.EmptyMessage,
  OPEN_RESERVED_CHANNEL: m.OpenReservedChannelMessage,
  CLOSE_RESERVED_CHANNEL: m.CloseReservedChannelMessage,
  CLOSE_RESERVED_RESPONSE: m.ChannelMessage,
  TL_CONNECT_REQUEST: m.TlConnectRequestMessage,
  TL_CONNECT_REQUEST2: m.TlConnectRequest2Message,
  MODIFYCHANNEL: m.ModifyChannelMessage,
  TL_CONNECT_RESULT: m.TlConnectResultMessage,
  MODIFYCHANNEL_RESPONSE: m.ModifyChannelResponseMessage,
  MODIFY_CONNECTION: m.ModifyConnectionMessage,
  MODIFY_CONNECTION_RESPONSE: m.ModifyConnectionResponseMessage,
  PAUSE: m.EmptyMessage,
  PAUSE_RESPONSE: m.EmptyMessage,
  RESUME: m.EmptyMessage,
} as const

export type VmbusMessageFormName = keyof typeof VmbusMessageForms

/** One message type. */
export interface VmbusMessageRow {
  readonly name: keyof typeof VmbusMessageType
  readonly sender: 'guest' | 'host'
  /** First version that has the message; 0 where any has it, because it may precede negotiation. */
  readonly minVersion: number
  /** Features of which one must be granted; 0 where none is needed. */
  readonly feature: number
}

const ANY = 0
const ROWS: readonly VmbusMessageRow[] = [
  host('OFFERCHANNEL', VmbusVersion.WS2008),
  host('RESCIND_CHANNELOFFER', VmbusVersion.WS2008),
  guest('REQUESTOFFERS', VmbusVersion.WS2008),
  host('ALLOFFERS_DELIVERED', VmbusVersion.WS2008),
  guest('OPENCHANNEL', VmbusVersion.WS2008),
  host('OPENCHANNEL_RESULT', VmbusVersion.WS2008),
  guest('CLOSECHANNEL', VmbusVersion.WS2008),
  guest('GPADL_HEADER', VmbusVersion.WS2008),
  guest('GPADL_BODY', VmbusVersion.WS2008),
  host('GPADL_CREATED', VmbusVersion.WS2008),
  guest('GPADL_TEARDOWN', VmbusVersion.WS2008),
  host('GPADL_TORNDOWN', VmbusVersion.WS2008),
  guest('RELID_RELEASED', VmbusVersion.WS2008),
  guest('INITIATE_CONTACT', ANY),
  host('VERSION_RESPONSE', ANY),
  guest('UNLOAD', VmbusVersion.WS2008),
  host('UNLOAD_RESPONSE', VmbusVersion.WIN7),
  guest('OPEN_RESERVED_CHANNEL', VmbusVersion.WIN10),
  guest('CLOSE_RESERVED_CHANNEL', ANY),
  host('CLOSE_RESERVED_RESPONSE', VmbusVersion.WIN10),
  guest('TL_CONNECT_REQUEST', VmbusVersion.WIN10),
  guest('MODIFYCHANNEL', VmbusVersion.WIN10_RS3),
  host('TL_CONNECT_RESULT', VmbusVersion.WIN10_RS3),
  host('MODIFYCHANNEL_RESPONSE', VmbusVersion.IRON),
  guest('MODIFY_CONNECTION', VmbusVersion.COPPER, VmbusFeature.MODIFY_CONNECTION),
  host('MODIFY_CONNECTION_RESPONSE', VmbusVersion.COPPER, VmbusFeature.MODIFY_CONNECTION),
  guest('PAUSE', VmbusVersion.COPPER, VmbusFeature.PAUSE_RESUME),
  host('PAUSE_RESPONSE', VmbusVersion.COPPER, VmbusFeature.PAUSE_RESUME),
  guest('RESUME', VmbusVersion.COPPER, VmbusFeature.PAUSE_RESUME),
]

const BY_TYPE: ReadonlyMap<number, VmbusMessageRow> = new Map(
  ROWS.map((row) => [VmbusMessageType[row.name], row]),
)

/** The row of a message type, or undefined for a type no version has. */
export function vmbusMessageRow(type: number): VmbusMessageRow | undefined {
  return BY_TYPE.get(type)
}

/** Name of a message type as the table writes it, or `message 99`. */
export function vmbusMessageName(type: number): string {
  return BY_TYPE.get(type)?.name ?? `message ${type}`
}

/** True when a connection of `version` with `features` granted has messages of `type`. */
export function hasVmbusMessage(type: number, version: number, features: number): boolean {
  const row = BY_TYPE.get(type)
  if (row === undefined || version < row.minVersion) return false
  return row.feature === 0 || (features & row.feature) !== 0
}

/**
 * The form that messages of `type` have on a connection of `version` with `features` granted, or
 * undefined for a type unknown to every version. For INITIATE_CONTACT both are the ones it asks for.
 * A TL_CONNECT_REQUEST is told apart by its length alone: this names the shorter form.
 */
export function vmbusMessageForm(
  type: number,
  version: number,
  features: number,
): VmbusMessageFormName | undefined {
  const name = BY_TYPE.get(type)?.name
  // Before 6.0 there are no features, whatever a peer put where the flags would be.
  const granted = version >= VmbusVersion.COPPER ? features : 0
  if (name === 'OPENCHANNEL') return (granted & OPEN2_FEATURES) !== 0 ? 'OPENCHANNEL2' : name
  if (name === 'INITIATE_CONTACT') {
    if (version < VmbusVersion.WIN10_V5) return 'INITIATE_CONTACT_LEGACY'
    return (granted & VmbusFeature.CLIENT_ID) !== 0 ? 'INITIATE_CONTACT2' : name
  }
  if (name === 'VERSION_RESPONSE' && version >= VmbusVersion.COPPER) {
    const monitorPages = (granted & VmbusFeature.SERVER_SPECIFIED_MONITOR_PAGES) !== 0
    return monitorPages ? 'VERSION_RESPONSE3' : 'VERSION_RESPONSE2'
  }
  return name
}

/** Bytes below which a message of `type` is refused, or undefined for a type unknown to every version. */
export function vmbusMessageMinSize(
  type: number,
  version: number,
  features: number,
): number | undefined {
  const form = vmbusMessageForm(type, version, features)
  return form === undefined ? undefined : VmbusMessageForms[form].size
}

const OPEN2_FEATURES =
  VmbusFeature.GUEST_SPECIFIED_SIGNAL_PARAMETERS | VmbusFeature.CHANNEL_INTERRUPT_REDIRECTION

function guest(name: VmbusMessageRow['name'], minVersion: number, feature = 0): VmbusMessageRow {
  return { name, sender: 'guest', minVersion, feature }
}

function host(name: VmbusMessageRow['name'], minVersion: number, feature = 0): VmbusMessageRow {
  return { name, sender: 'host', minVersion, feature }
}
