// Captured bytes in, plain data out. Nothing here throws for what the bytes hold: whoever captured them
// may have captured garbage, and a decoder that dies on it explains nothing.

import { HypercallTable, hypercallName } from './hypercall-table.ts'
import type { HypercallName } from './hypercall-table.ts'
import { HypercallCode, decodeHypercallInputValue } from './hypercall.ts'
import type { HypercallInputValue } from './hypercall.ts'
import { PAGE_SIZE } from './page.ts'
import { HV_MESSAGE_MAX_PAYLOAD, HV_MESSAGE_TYPE_VMBUS } from './synic.ts'
import { PostMessageInput } from './hypercall-inputs.ts'
import type { ValuesOf } from './struct.ts'
import {
  VMBUS_MESSAGE_HEADER_SIZE,
  VMBUS_MESSAGE_MAX,
  VmbusMessageType,
  VmbusVersion,
} from './vmbus.ts'
import { InitiateContactMessage, TlConnectRequest2Message } from './vmbus-messages.ts'
import { VmbusMessageForms, vmbusMessageForm, vmbusMessageRow } from './vmbus-table.ts'
import type { VmbusMessageFormName } from './vmbus-table.ts'

/** Why bytes are not what they were said to be. `reason` is a sentence for a person. */
export interface Malformed {
  readonly kind: 'malformed'
  readonly reason: string
}

/** A decoded VMBus control message. A switch on `name` narrows `fields`. */
export type VmbusMessage = {
  [N in VmbusMessageFormName]: {
    readonly kind: 'vmbus-message'
    readonly type: number
    readonly name: N
    readonly sender: 'guest' | 'host'
    readonly fields: ValuesOf<(typeof VmbusMessageForms)[N]>
    /** What follows the fixed part: range data of a GPADL, else padding. */
    readonly tail: Uint8Array
  }
}[VmbusMessageFormName]

/** What is known of the connection that a message was captured on. */
export interface VmbusContext {
  readonly version: number
  readonly features: number
}

/** A decoded hypercall. A switch on `name` narrows `fields`. */
export type DecodedHypercall = {
  [N in HypercallName]: {
    readonly kind: 'hypercall'
    readonly name: N
    readonly input: HypercallInputValue
    readonly fields: InputOf<N>
    /** Variable header and elements, or what else follows the fixed part. */
    readonly tail: Uint8Array
    /** The VMBus message that a PostMessage carries; null for every other call and message type. */
    readonly message: VmbusMessage | Malformed | null
  }
}[HypercallName]

type InputOf<N extends HypercallName> =
  ValuesOf<(typeof HypercallTable)[N]['input']> extends never
    ? null
    : ValuesOf<(typeof HypercallTable)[N]['input']>

/**
 * Decodes one control message, which starts at the first byte. Without a `context` the version is taken
 * from an INITIATE_CONTACT itself, and the other types with several forms are told apart by length.
 */
export function decodeVmbusMessage(
  captured: Uint8Array,
  context?: VmbusContext,
): VmbusMessage | Malformed {
  if (captured.length > VMBUS_MESSAGE_MAX) {
    return malformed(`${captured.length} bytes are more than the ${VMBUS_MESSAGE_MAX} of a message`)
  }
  if (captured.length < VMBUS_MESSAGE_HEADER_SIZE) {
    return malformed(`${captured.length} bytes are less than a message header`)
  }
  // One private copy: the capture may lie in memory that a guest is still writing.
  const message = new Uint8Array(captured)
  const view = new DataView(message.buffer)
  const type = view.getUint32(0, true)
  const row = vmbusMessageRow(type)
  if (row === undefined) return malformed(`no message has type ${type}`)
  const name = formOf(type, view, context)
  if (name === undefined) return malformed(`no message has type ${type}`)
  const form = VmbusMessageForms[name]
  if (message.length < form.size) {
    return malformed(`${name} takes ${form.size} bytes, here are ${message.length}`)
  }
  const fields = form.decode(view)
  const tail = message.slice(form.size)
  // The name was chosen with the form that decoded the fields, which the compiler cannot follow.
  return { kind: 'vmbus-message', type, name, sender: row.sender, fields, tail } as VmbusMessage
}

/**
 * Decodes one hypercall from the two halves of its input value and its input block: the bytes at the
 * input GPA, or for a fast call the input registers in order. At most one page.
 */
export function decodeHypercallInput(
  inputLow: number,
  inputHigh: number,
  captured: Uint8Array,
): DecodedHypercall | Malformed {
  const input = decodeHypercallInputValue(inputLow, inputHigh)
  if (input.reservedBitsSet) return malformed('reserved bits of the input value are set')
  const name = hypercallName(input.code)
  if (name === undefined) return malformed(`no hypercall has code 0x${input.code.toString(16)}`)
  const { input: inputStruct, rep } = HypercallTable[name]
  if (rep && input.repCount === 0) return malformed(`${name} repeats, its rep count is 0`)
  if (!rep && input.repCount !== 0) return malformed(`${name} does not repeat`)
  if (rep && input.repStart >= input.repCount) {
    return malformed(`${name} starts at ${input.repStart} of ${input.repCount}`)
  }
  if (captured.length > PAGE_SIZE) {
    return malformed(`${captured.length} bytes are more than a page of input`)
  }
  const size = inputStruct?.size ?? 0
  if (captured.length < size) {
    return malformed(`${name} takes ${size} bytes, here are ${captured.length}`)
  }
  const block = new Uint8Array(captured)
  const view = new DataView(block.buffer)
  const fields = inputStruct === null ? null : inputStruct.decode(view)
  const message = input.code === HypercallCode.POST_MESSAGE ? postedMessage(view) : null
  const tail = block.slice(size)
  // As above: name and fields come from the same row.
  return { kind: 'hypercall', name, input, fields, tail, message } as DecodedHypercall
}

// The form of a message: from the connection where it is known, else from the bytes.
function formOf(
  type: number,
  view: DataView,
  context: VmbusContext | undefined,
): VmbusMessageFormName | undefined {
  const length = view.byteLength
  if (type === VmbusMessageType.INITIATE_CONTACT && length >= InitiateContactMessage.size) {
    const version = view.getUint32(InitiateContactMessage.at.version, true)
    const features = view.getUint32(InitiateContactMessage.at.featureFlags, true)
    return vmbusMessageForm(type, version, features)
  }
  if (type === VmbusMessageType.TL_CONNECT_REQUEST) {
    const hasSilo = (context?.version ?? VmbusVersion.WIN10_RS5) >= VmbusVersion.WIN10_RS5
    if (hasSilo && length >= TlConnectRequest2Message.size) return 'TL_CONNECT_REQUEST2'
  }
  if (context !== undefined) return vmbusMessageForm(type, context.version, context.features)
  for (const name of FORMS_BY_LENGTH) {
    if (VmbusMessageForms[name].size !== length) continue
    if (type === FORM_TYPES[name]) return name
  }
  return vmbusMessageRow(type)?.name
}

const FORM_TYPES = {
  OPENCHANNEL2: VmbusMessageType.OPENCHANNEL,
  VERSION_RESPONSE2: VmbusMessageType.VERSION_RESPONSE,
  VERSION_RESPONSE3: VmbusMessageType.VERSION_RESPONSE,
} as const
const FORMS_BY_LENGTH = Object.keys(FORM_TYPES) as (keyof typeof FORM_TYPES)[]

function postedMessage(view: DataView): VmbusMessage | Malformed | null {
  const type = view.getUint32(PostMessageInput.at.messageType, true)
  if (type !== HV_MESSAGE_TYPE_VMBUS) return null
  const size = view.getUint32(PostMessageInput.at.payloadSize, true)
  if (size > HV_MESSAGE_MAX_PAYLOAD) {
    return malformed(`a payload of ${size} bytes is more than ${HV_MESSAGE_MAX_PAYLOAD}`)
  }
  return decodeVmbusMessage(
    new Uint8Array(view.buffer, view.byteOffset + PostMessageInput.at.payload, size),
  )
}

function malformed(reason: string): Malformed {
  return { kind: 'malformed', reason }
}
