// The wire of the synthetic keyboard and mouse. Layout only; behaviour is in vsp/ and vsc/.
//
// Both are small conversations of the same shape: the guest states a version, the host accepts it, then the
// host reports what the user does. They differ in framing: a keyboard packet's payload is the message, a
// mouse packet's payload is a pipe header (hvdef, PipeHeader) and then the message.
//
// Sources: openvmm vm/devices/uidevices/src/{keyboard,mouse}/protocol.rs; Linux
// drivers/input/serio/hyperv-keyboard.c and drivers/hid/hid-hyperv.c as facts.

import { VmbusClasses, bytes, i16, struct, u16, u32, u8 } from '@guestyard/hvdef'
import type { Guid } from '@guestyard/hvdef'

// ── Keyboard ────────────────────────────────────────────────────────────────────────────────────────────

/** Class and instance under which a keyboard is offered. */
export const KEYBOARD_CLASS_ID: Guid = VmbusClasses.keyboard.interfaceId
export const KEYBOARD_INSTANCE_ID: Guid = 'd34b2567-b9b6-42b9-8778-0a4ec0b955bf'

/** The only version: 1.0, major in the high half (openvmm keyboard, `VERSION_WIN8`). */
export const KEYBOARD_VERSION = 0x0001_0000

/** Message types. G from the guest, H from the host. */
export const KeyboardMessage = {
  PROTOCOL_REQUEST: 1, //   G, asks for a completion packet too
  PROTOCOL_RESPONSE: 2, //  H
  EVENT: 3, //              H
  LED_INDICATORS: 4, //     G
} as const
export type KeyboardMessage = (typeof KeyboardMessage)[keyof typeof KeyboardMessage]

/** Flags of a keystroke. */
export const KeyFlags = {
  UNICODE: 0x1, // the code is a UTF-16 unit, not a make code
  BREAK: 0x2, //   the key was released
  E0: 0x4, //      the make code follows an E0 prefix
  E1: 0x8, //      the make code follows an E1 prefix
} as const
/** Every flag a keystroke may carry. */
export const KEY_FLAGS_MASK = 0xf

/** Flags of LED_INDICATORS, as the keyboards of old number their lamps. */
export const KeyboardLed = { SCROLL_LOCK: 0x1, NUM_LOCK: 0x2, CAPS_LOCK: 0x4 } as const

/** Head of every keyboard message. 4 bytes. */
export const KeyboardHeader = struct('SYNTH_KBD_MSG_HDR', 4, {
  messageType: u32(0), // KeyboardMessage
})

/** PROTOCOL_REQUEST. 8 bytes. */
export const KeyboardProtocolRequest = struct('SYNTH_KBD_PROTOCOL_REQUEST', 8, {
  messageType: u32(0),
  version: u32(4), // KEYBOARD_VERSION
})

/** PROTOCOL_RESPONSE. 8 bytes. */
export const KeyboardProtocolResponse = struct('SYNTH_KBD_PROTOCOL_RESPONSE', 8, {
  messageType: u32(0),
  accepted: u32(4), // bit 0; other bits zero
})

/** EVENT. 12 bytes. */
export const KeyboardEvent = struct('SYNTH_KBD_KEYSTROKE', 12, {
  messageType: u32(0),
  makeCode: u16(4), // set 1 (XT) without bit 7, or a UTF-16 unit
  padding: u16(6),
  flags: u32(8), //    KeyFlags
})

/** LED_INDICATORS. 8 bytes. */
export const KeyboardLedIndicators = struct('SYNTH_KBD_LED_INDICATORS', 8, {
  messageType: u32(0),
  ledFlags: u16(4), // KeyboardLed
  padding: u16(6),
})

// ── Mouse ───────────────────────────────────────────────────────────────────────────────────────────────

/** Class and instance under which a mouse is offered. */
export const MOUSE_CLASS_ID: Guid = VmbusClasses.mouse.interfaceId
export const MOUSE_INSTANCE_ID: Guid = '58f75a6d-d949-4320-99e1-a2a2576d581c'

/** The only version: 2.0, major in the high half. */
export const MOUSE_VERSION = 0x0002_0000

/** Message types. G from the guest, H from the host. */
export const MouseMessage = {
  PROTOCOL_REQUEST: 0, //  G
  PROTOCOL_RESPONSE: 1, // H
  DEVICE_INFO: 2, //       H
  DEVICE_INFO_ACK: 3, //   G
  INPUT_REPORT: 4, //      H
} as const
export type MouseMessage = (typeof MouseMessage)[keyof typeof MouseMessage]

/** Button bits of an input report. */
export const MouseButton = { LEFT: 0x1, RIGHT: 0x2, MIDDLE: 0x4 } as const
/** Every button bit. */
export const MOUSE_BUTTONS_MASK = 0x7
/** Largest absolute coordinate, both axes. */
export const MOUSE_POSITION_MAX = 32767
/** Most wheel steps in one report, either way. */
export const MOUSE_WHEEL_MAX = 32767

/** A stock Linux guest binds to this vendor and product only. */
export const MOUSE_VENDOR_ID = 0x045e
export const MOUSE_PRODUCT_ID = 0x0621
export const MOUSE_DEVICE_VERSION = 1

/** Head of every mouse message. 8 bytes, after the pipe header. */
export const MouseHeader = struct('SYNTHHID_MSG_HDR', 8, {
  messageType: u32(0), // MouseMessage
  size: u32(4), //        bytes of payload that follow
})

/** PROTOCOL_REQUEST. 12 bytes. */
export const MouseProtocolRequest = struct('SYNTHHID_PROTOCOL_REQUEST', 12, {
  messageType: u32(0),
  size: u32(4),
  version: u32(8), // MOUSE_VERSION
})

/** PROTOCOL_RESPONSE. Exactly 13 bytes in the pipe header: Linux drops a longer one. */
export const MouseProtocolResponse = struct('SYNTHHID_PROTOCOL_RESPONSE', 13, {
  messageType: u32(0),
  size: u32(4),
  version: u32(8), //  the version asked for
  accepted: u8(12), // 1 or 0
})

/** DEVICE_INFO up to the report descriptor, whose bytes follow. 49 bytes. */
export const MouseDeviceInfo = struct('SYNTHHID_DEVICE_INFO', 49, {
  messageType: u32(0),
  size: u32(4), //                 41 and the report descriptor
  attributesSize: u32(8), //       32: this field up to the HID descriptor
  vendorId: u16(12),
  productId: u16(14),
  versionNumber: u16(16),
  reserved: bytes(18, 22),
  descriptorLength: u8(40), //     9: the HID descriptor, from this field to reportLength
  descriptorType: u8(41), //       0x21
  hidVersion: u16(42), //          binary-coded decimal
  countryCode: u8(44),
  descriptorCount: u8(45), //      1
  reportDescriptorType: u8(46), // 0x22
  reportLength: u16(47), //        bytes of the report descriptor
})

/** DEVICE_INFO_ACK. 9 bytes. */
export const MouseDeviceInfoAck = struct('SYNTHHID_DEVICE_INFO_ACK', 9, {
  messageType: u32(0),
  size: u32(4),
  reserved: u8(8),
})

/** INPUT_REPORT as our report descriptor lays it out. 15 bytes. */
export const MouseInputReport = struct('SYNTHHID_INPUT_REPORT', 15, {
  messageType: u32(0),
  size: u32(4),
  buttons: u8(8), // MouseButton
  x: u16(9), //      0..MOUSE_POSITION_MAX, left to right
  y: u16(11), //     0..MOUSE_POSITION_MAX, top to bottom
  wheel: i16(13), // steps since the last report, away from the user is positive
})

/** Bytes of the attributes in DEVICE_INFO, their own size field included. */
export const MOUSE_ATTRIBUTES_BYTES = 32
/** Bytes of the HID descriptor in DEVICE_INFO. */
export const HID_DESCRIPTOR_BYTES = 9
/** Types of the HID descriptors in DEVICE_INFO (USB HID 1.11, section 7.1). */
export const HID_DESCRIPTOR_TYPE = 0x21
export const HID_REPORT_DESCRIPTOR_TYPE = 0x22
/** HID 1.11. */
export const HID_VERSION = 0x0111

/**
 * The report descriptor: an absolute pointer with three buttons and a wheel, 7 bytes a report (USB HID
 * 1.11, section 6.2.2). Byte 14 must not be 0x25: Linux takes that for an old host's mistake and rewrites it.
 */
export const MOUSE_REPORT_DESCRIPTOR: Uint8Array = Uint8Array.of(
  ...[0x05, 0x01], //         usage page: generic desktop
  ...[0x09, 0x02], //         usage: mouse
  ...[0xa1, 0x01], //         collection: application
  ...[0x09, 0x01], //           usage: pointer
  ...[0xa1, 0x00], //           collection: physical
  ...[0x05, 0x09], //             usage page: buttons
  ...[0x19, 0x01, 0x29, 0x03], // usages 1 to 3
  ...[0x15, 0x00, 0x25, 0x01], // from 0 to 1
  ...[0x95, 0x03, 0x75, 0x01], // three fields of one bit
  ...[0x81, 0x02], //             input: data, variable, absolute
  ...[0x95, 0x01, 0x75, 0x05], // one field of five bits
  ...[0x81, 0x03], //             input: constant, up to the byte's end
  ...[0x05, 0x01], //             usage page: generic desktop
  ...[0x09, 0x30, 0x09, 0x31], // usages x and y
  ...[0x15, 0x00, 0x26, 0xff, 0x7f], // from 0 to 32767
  ...[0x75, 0x10, 0x95, 0x02], // two fields of sixteen bits
  ...[0x81, 0x02], //             input: data, variable, absolute
  ...[0x09, 0x38], //             usage: wheel
  ...[0x16, 0x01, 0x80, 0x26, 0xff, 0x7f], // from -32767 to 32767
  ...[0x75, 0x10, 0x95, 0x01], // one field of sixteen bits
  ...[0x81, 0x06], //             input: data, variable, relative
  ...[0xc0, 0xc0], //         both collections end
)

/** Bytes of one report. */
export const MOUSE_REPORT_BYTES = 7

/** Result of an open that a device refuses: STATUS_UNSUCCESSFUL. Guests look only at zero or not. */
export const OPEN_REFUSED = 0xc000_0001
/** Events that a device holds for a guest that does not read; more are dropped and counted. */
export const INPUT_QUEUE_LIMIT = 256
/** Data bytes of each ring that our guests open for these devices. */
export const INPUT_RING_BYTES = 4 * 4096
