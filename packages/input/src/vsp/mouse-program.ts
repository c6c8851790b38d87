// The conversation with one guest that opened the mouse.
//
//   state            | PROTOCOL_REQUEST | DEVICE_INFO_ACK | anything else | room in the ring
//   -----------------|------------------|-----------------|---------------|----------------------------------
//   reading-version  | -> answering     | fail            | fail          |
//   answering        | left in the ring | likewise        | likewise      | the response; -> describing or,
//                    |                  |                 |               | version refused, reading-version
//   describing       | left in the ring | likewise        | likewise      | device info; -> awaiting-ack
//   awaiting-ack     | fail             | -> active       | fail          |
//   active           | fail             | fail            | fail          | reports that wait
//   over             |                  |                 |               |
//
// "fail" is for a guest that breaks the protocol, too short a message included: its channel is closed, and it
// may open it anew. A completion packet from the guest answers nothing and is skipped.

import { assertNever } from '@guestyard/hvdef'
import type { ChannelProgram, SavedProgram } from '@guestyard/vmbus'
import { MessageEnd, Received } from '@guestyard/vmbus/message-end'
import type { ServerChannel } from '@guestyard/vmbus/server'
import {
  HID_DESCRIPTOR_BYTES,
  HID_DESCRIPTOR_TYPE,
  HID_REPORT_DESCRIPTOR_TYPE,
  HID_VERSION,
  MOUSE_ATTRIBUTES_BYTES,
  MOUSE_DEVICE_VERSION,
  MOUSE_PRODUCT_ID,
  MOUSE_REPORT_BYTES,
  MOUSE_REPORT_DESCRIPTOR,
  MOUSE_VENDOR_ID,
  MOUSE_VERSION,
  MouseDeviceInfo,
  MouseDeviceInfoAck,
  MouseHeader,
  MouseInputReport,
  MouseMessage,
  MouseProtocolRequest,
  MouseProtocolResponse,
} from '../protocol.ts'
import type { EventQueue } from './event-queue.ts'

type MouseState =
  | { readonly is: 'reading-version' }
  | { readonly is: 'answering'; readonly version: number }
  | { readonly is: 'describing' }
  | { readonly is: 'awaiting-ack' }
  | { readonly is: 'active' }
  | { readonly is: 'over' }

export type MouseStateName = MouseState['is']

/** Runs on an open mouse channel. Root thread only. */
export class MouseProgram implements ChannelProgram {
  readonly #channel: ServerChannel
  readonly #end: MessageEnd
  readonly #queue: EventQueue
  readonly #onClosed: () => void
  #state: MouseState = { is: 'reading-version' }
  #sent = 0

  /** Reports are taken from `queue`; `onClosed` is called once, by `close`. */
  constructor(channel: ServerChannel, queue: EventQueue, onClosed: () => void) {
    this.#channel = channel
    this.#end = new MessageEnd(channel, 'pipe')
    this.#queue = queue
    this.#onClosed = onClosed
  }

  get state(): MouseStateName {
    return this.#state.is
  }

  /** Reports written to the ring. */
  get sent(): number {
    return this.#sent
  }

  poll(budget: number): number {
    let done = 0
    while (done < budget && this.#step()) done += 1
    if (this.#state.is !== 'over') this.#end.flush()
    return done
  }

  /** Writes the reports that wait, as far as there is room, and signals. Between polls too. */
  sendEvents(): void {
    if (this.#state.is !== 'active') return
    while (this.#sendEvent());
    this.#end.flush()
    // No room: the next poll's arm asks the guest for a signal.
    if (this.#queue.length > 0) this.#channel.wake()
  }

  arm(): boolean {
    return this.#state.is !== 'over' && this.#end.arm(this.#isReading())
  }

  disarm(): void {
    if (this.#state.is !== 'over') this.#end.disarm()
  }

  /** Null while a handshake is under way, or reports wait. */
  save(): SavedProgram | null {
    const { is } = this.#state
    const isQuiet = this.#end.isQuiet && this.#queue.length === 0
    if (!isQuiet || (is !== 'active' && is !== 'reading-version')) return null
    return { version: 1, state: is }
  }

  restore({ version, state }: SavedProgram): boolean {
    if (version !== 1 || (state !== 'active' && state !== 'reading-version')) return false
    this.#state = { is: state }
    return true
  }

  close(): void {
    this.#state = { is: 'over' }
    this.#onClosed()
  }

  #isReading(): boolean {
    return this.#state.is !== 'answering' && this.#state.is !== 'describing'
  }

  /** One packet in or out; false when there is nothing that can be done now. */
  #step(): boolean {
    const state = this.#state
    switch (state.is) {
      case 'reading-version':
      case 'awaiting-ack':
        return this.#receive()
      case 'answering':
        return this.#answer(state.version)
      case 'describing':
        return this.#describe()
      case 'active':
        return this.#sendEvent() || this.#receive()
      case 'over':
        return false
      default:
        return assertNever(state)
    }
  }

  #receive(): boolean {
    const received = this.#end.receive()
    switch (received) {
      case Received.NOTHING:
      case Received.NO_ROOM:
        return false
      case Received.MESSAGE:
        this.#onMessage()
        return true
      case Received.COMPLETION:
        return true
      case Received.MALFORMED:
        this.#fail('a packet that is no pipe message')
        return true
      case Received.FAULT:
        this.#state = { is: 'over' }
        this.#channel.fail(this.#end.fault)
        return true
      default:
        return assertNever(received)
    }
  }

  #onMessage(): void {
    const end = this.#end
    if (end.length < MouseHeader.size) return this.#fail('a message without a header')
    const type = end.message.getUint32(end.at + MouseHeader.at.messageType, true)
    const size = end.message.getUint32(end.at + MouseHeader.at.size, true)
    if (size > end.length - MouseHeader.size) return this.#fail('a message that ends early')
    switch (type) {
      case MouseMessage.PROTOCOL_REQUEST:
        return this.#onProtocolRequest()
      case MouseMessage.DEVICE_INFO_ACK:
        return this.#onDeviceInfoAck()
      default:
        return this.#fail(`a message of type ${type}`)
    }
  }

  #onProtocolRequest(): void {
    const end = this.#end
    if (end.length < MouseProtocolRequest.size) return this.#fail('a short protocol request')
    if (this.#state.is !== 'reading-version') return this.#fail('a second protocol request')
    const version = end.message.getUint32(end.at + MouseProtocolRequest.at.version, true)
    this.#state = { is: 'answering', version }
  }

  #onDeviceInfoAck(): void {
    if (this.#end.length < MouseDeviceInfoAck.size) return this.#fail('a short acknowledgement')
    if (this.#state.is !== 'awaiting-ack') return this.#fail('an acknowledgement of nothing')
    this.#state = { is: 'active' }
  }

  #answer(version: number): boolean {
    const end = this.#end
    const accepted = version === MOUSE_VERSION
    MouseProtocolResponse.encode(end.out, end.outAt, {
      messageType: MouseMessage.PROTOCOL_RESPONSE,
      size: MouseProtocolResponse.size - MouseHeader.size,
      version,
      accepted: accepted ? 1 : 0,
    })
    if (!end.send(MouseProtocolResponse.size, false)) return false
    // A refused guest may ask for another version.
    this.#state = accepted ? { is: 'describing' } : { is: 'reading-version' }
    return true
  }

  #describe(): boolean {
    const end = this.#end
    const total = MouseDeviceInfo.size + MOUSE_REPORT_DESCRIPTOR.length
    MouseDeviceInfo.encode(end.out, end.outAt, {
      messageType: MouseMessage.DEVICE_INFO,
      size: total - MouseHeader.size,
      attributesSize: MOUSE_ATTRIBUTES_BYTES,
      vendorId: MOUSE_VENDOR_ID,
      productId: MOUSE_PRODUCT_ID,
      versionNumber: MOUSE_DEVICE_VERSION,
      descriptorLength: HID_DESCRIPTOR_BYTES,
      descriptorType: HID_DESCRIPTOR_TYPE,
      hidVersion: HID_VERSION,
      countryCode: 0,
      descriptorCount: 1,
      reportDescriptorType: HID_REPORT_DESCRIPTOR_TYPE,
      reportLength: MOUSE_REPORT_DESCRIPTOR.length,
    })
    const at = end.outAt + MouseDeviceInfo.size
    for (const [index, byte] of MOUSE_REPORT_DESCRIPTOR.entries()) {
      end.out.setUint8(at + index, byte)
    }
    if (!end.send(total, false)) return false
    this.#state = { is: 'awaiting-ack' }
    return true
  }

  #sendEvent(): boolean {
    const queue = this.#queue
    if (queue.length === 0) return false
    const end = this.#end
    MouseInputReport.encode(end.out, end.outAt, {
      messageType: MouseMessage.INPUT_REPORT,
      size: MOUSE_REPORT_BYTES,
      buttons: queue.peek(0),
      x: queue.peek(1),
      y: queue.peek(2),
      wheel: queue.peek(3),
    })
    if (!end.send(MouseInputReport.size, false)) return false
    queue.shift()
    this.#sent += 1
    return true
  }

  #fail(what: string): void {
    this.#state = { is: 'over' }
    this.#channel.fail(`mouse: the guest sent ${what}`)
  }
}
