// The synthetic mouse's guest end.
//
//   state               | PROTOCOL_RESPONSE       | DEVICE_INFO              | INPUT_REPORT | room in the ring
//   --------------------|-------------------------|--------------------------|--------------|---------------------
//   requesting          | ignored                 | ignored                  | ignored      | -> awaiting-response
//   awaiting-response   | -> awaiting-info, failed | ignored                 | ignored      |
//   awaiting-info       | ignored                 | -> acknowledging, failed | ignored      |
//   acknowledging       | left in the ring        | likewise                 | likewise     | the ack; -> active
//   active              | ignored                 | ignored                  | onMove       |
//   failed, over        |                         |                          |              |
//
// A guest is lenient, as Linux is: what it does not expect is counted as ignored and skipped.

import { assertNever } from '@guestyard/hvdef'
import { ringFaultName } from '@guestyard/ring'
import type { Channel, ChannelProgram } from '@guestyard/vmbus'
import { MessageEnd, Received } from '@guestyard/vmbus/message-end'
import {
  HID_DESCRIPTOR_BYTES,
  HID_REPORT_DESCRIPTOR_TYPE,
  INPUT_RING_BYTES,
  MOUSE_CLASS_ID,
  MOUSE_VERSION,
  MouseDeviceInfo,
  MouseDeviceInfoAck,
  MouseHeader,
  MouseMessage,
  MouseProtocolRequest,
  MouseProtocolResponse,
} from '../protocol.ts'
import { parsePointerReport, readReportField } from './hid-report.ts'
import type { PointerReport } from './hid-report.ts'

/** Whoever uses the mouse. Called from `poll` on the guest's thread, in the order of events. */
export interface MouseListener {
  /** Position as the descriptor scales it (0..32767), `MouseButton` bits, wheel steps since the last call. */
  onMove(x: number, y: number, buttons: number, wheel: number): void
  /** The host described a pointer that this driver can read; reports may follow. */
  onReady?(): void
  /** The mouse will not work; `reason` is one line. */
  onFailed?(reason: string): void
}

type MouseVscLife =
  | { readonly is: 'requesting' }
  | { readonly is: 'awaiting-response' }
  | { readonly is: 'awaiting-info' }
  | { readonly is: 'acknowledging'; readonly report: PointerReport }
  | { readonly is: 'active'; readonly report: PointerReport }
  | { readonly is: 'failed' }
  | { readonly is: 'over' }

export type MouseVscState = MouseVscLife['is'] | 'closed'

/** Mouse driver of one guest: `bind` it to the channel when that is open. */
export class MouseVsc {
  readonly classId = MOUSE_CLASS_ID
  /** Data bytes of the rings to open the channel with. */
  readonly sendBytes = INPUT_RING_BYTES
  readonly receiveBytes = INPUT_RING_BYTES
  readonly #listener: MouseListener
  #program: MouseVscProgram | undefined

  constructor(listener: MouseListener) {
    this.#listener = listener
  }

  get state(): MouseVscState {
    return this.#program?.state ?? 'closed'
  }

  /** Messages that were skipped because they were short, unknown or came at the wrong time. */
  get ignored(): number {
    return this.#program?.ignored ?? 0
  }

  /** Starts the conversation on a channel that has just opened; a former channel is forgotten. */
  bind(channel: Channel): ChannelProgram {
    const program = new MouseVscProgram(channel, this.#listener)
    this.#program = program
    return program
  }
}

class MouseVscProgram implements ChannelProgram {
  readonly #end: MessageEnd
  readonly #listener: MouseListener
  #state: MouseVscLife = { is: 'requesting' }
  #ignored = 0

  constructor(channel: Channel, listener: MouseListener) {
    this.#end = new MessageEnd(channel, 'pipe')
    this.#listener = listener
    // The ring is fresh: the request goes out before anybody polls.
    this.#step()
    this.#end.flush()
  }

  get state(): MouseVscLife['is'] {
    return this.#state.is
  }

  get ignored(): number {
    return this.#ignored
  }

  poll(budget: number): number {
    let done = 0
    while (done < budget && this.#step()) done += 1
    if (this.#isAlive()) this.#end.flush()
    return done
  }

  arm(): boolean {
    return this.#isAlive() && this.#end.arm(this.#isReading())
  }

  disarm(): void {
    if (this.#isAlive()) this.#end.disarm()
  }

  close(): void {
    this.#state = { is: 'over' }
  }

  #isReading(): boolean {
    return this.#state.is !== 'requesting' && this.#state.is !== 'acknowledging'
  }

  #isAlive(): boolean {
    return this.#state.is !== 'failed' && this.#state.is !== 'over'
  }

  #step(): boolean {
    const state = this.#state
    switch (state.is) {
      case 'requesting':
        return this.#request()
      case 'acknowledging':
        return this.#acknowledge(state.report)
      case 'awaiting-response':
      case 'awaiting-info':
      case 'active':
        return this.#receive()
      case 'failed':
      case 'over':
        return false
      default:
        return assertNever(state)
    }
  }

  #request(): boolean {
    const end = this.#end
    MouseProtocolRequest.encode(end.out, end.outAt, {
      messageType: MouseMessage.PROTOCOL_REQUEST,
      size: MouseProtocolRequest.size - MouseHeader.size,
      version: MOUSE_VERSION,
    })
    if (!end.send(MouseProtocolRequest.size, true)) return false
    this.#state = { is: 'awaiting-response' }
    return true
  }

  #acknowledge(report: PointerReport): boolean {
    const end = this.#end
    MouseDeviceInfoAck.encode(end.out, end.outAt, {
      messageType: MouseMessage.DEVICE_INFO_ACK,
      size: MouseDeviceInfoAck.size - MouseHeader.size,
    })
    if (!end.send(MouseDeviceInfoAck.size, true)) return false
    this.#state = { is: 'active', report }
    this.#listener.onReady?.()
    return true
  }

  #receive(): boolean {
    const received = this.#end.receive()
    switch (received) {
      case Received.NOTHING:
      case Received.NO_ROOM:
        return false
      case Received.MESSAGE:
        if (!this.#onMessage()) this.#ignored += 1
        return true
      case Received.COMPLETION:
        return true
      case Received.MALFORMED:
        this.#ignored += 1
        return true
      case Received.FAULT:
        this.#fail(`the ring broke: ${ringFaultName(this.#end.fault)}`)
        return true
      default:
        return assertNever(received)
    }
  }

  /** False when the message is of no use now. */
  #onMessage(): boolean {
    const { message, at, length } = this.#end
    if (length < MouseHeader.size) return false
    switch (message.getUint32(at + MouseHeader.at.messageType, true)) {
      case MouseMessage.PROTOCOL_RESPONSE:
        return this.#onProtocolResponse()
      case MouseMessage.DEVICE_INFO:
        return this.#onDeviceInfo()
      case MouseMessage.INPUT_REPORT:
        return this.#onInputReport()
      default:
        return false
    }
  }

  #onProtocolResponse(): boolean {
    const { message, at, length } = this.#end
    if (length < MouseProtocolResponse.size || this.#state.is !== 'awaiting-response') return false
    if (message.getUint8(at + MouseProtocolResponse.at.accepted) === 0) {
      this.#fail('the host refused the mouse protocol')
    } else {
      this.#state = { is: 'awaiting-info' }
    }
    return true
  }

  #onDeviceInfo(): boolean {
    const { message, at, length } = this.#end
    if (length < MouseDeviceInfo.size || this.#state.is !== 'awaiting-info') return false
    const info = MouseDeviceInfo.decode(message, at)
    const isHid =
      info.descriptorLength >= HID_DESCRIPTOR_BYTES &&
      info.reportDescriptorType === HID_REPORT_DESCRIPTOR_TYPE
    // The report descriptor begins where the HID descriptor says that it ends itself.
    const reportAt = MouseDeviceInfo.at.descriptorLength + info.descriptorLength
    const fits = reportAt <= length && info.reportLength <= length - reportAt
    const report =
      isHid && fits
        ? parsePointerReport(
            new Uint8Array(
              message.buffer,
              message.byteOffset + at + reportAt,
              info.reportLength,
            ).slice(),
          )
        : null
    if (report === null) this.#fail('the host described a device that is no pointer')
    else this.#state = { is: 'acknowledging', report }
    return true
  }

  #onInputReport(): boolean {
    const { message, at, length } = this.#end
    const state = this.#state
    if (state.is !== 'active') return false
    const { report } = state
    if (length - MouseHeader.size < report.sizeBytes) return false
    const data = at + MouseHeader.size
    let buttons = 0
    for (const [index, field] of report.buttons.entries()) {
      if (readReportField(message, data, field) !== 0) buttons |= 1 << index
    }
    const wheel = report.wheel === null ? 0 : readReportField(message, data, report.wheel)
    this.#listener.onMove(
      readReportField(message, data, report.x),
      readReportField(message, data, report.y),
      buttons,
      wheel,
    )
    return true
  }

  #fail(reason: string): void {
    this.#state = { is: 'failed' }
    this.#listener.onFailed?.(reason)
  }
}
