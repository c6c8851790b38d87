// A capture of ports: what to set as their `tap`. Cold: a frame that is captured is copied.

import { FRAME_MAX_BYTES, NO_TAG } from '../frame.ts'
import type { Frame } from '../frame.ts'
import type { FrameTap, SwitchPort } from '../switch/index.ts'
import type { PcapngWriter } from './pcapng-writer.ts'

export interface PortCaptureOptions {
  /** Microseconds since 1970, or since the start in virtual time. */
  readonly nowUs: () => number
  /** Trace record that the frame belongs to, 0 for none: it goes into the packet's comment. */
  readonly traceId?: () => number
}

const TAG_AT = 12
const TAG_BYTES = 4

export class PortCapture implements FrameTap {
  readonly #writer: PcapngWriter
  readonly #options: PortCaptureOptions
  /** By port. */
  readonly #interfaces = new Map<number, number>()
  readonly #bytes = new Uint8Array(FRAME_MAX_BYTES + TAG_BYTES)

  constructor(writer: PcapngWriter, options: PortCaptureOptions) {
    this.#writer = writer
    this.#options = options
  }

  /** Captures a port from now on, until somebody sets another `tap`. */
  add(port: SwitchPort): void {
    this.#interfaces.set(port.id, this.#writer.addInterface(port.rules.name))
    port.tap = this
  }

  /** A port's. */
  frame(frame: Frame, tag: number, isOutgoing: boolean, portId: number): void {
    const interfaceId = this.#interfaces.get(portId)
    if (interfaceId === undefined) return
    const bytes = this.#bytes
    let length = frame.copyBytes(bytes)
    if (tag !== NO_TAG) {
      bytes.copyWithin(TAG_AT + TAG_BYTES, TAG_AT, length)
      bytes.set([0x81, 0, tag >> 8, tag & 0xff], TAG_AT)
      length += TAG_BYTES
    }
    const traceId = this.#options.traceId?.() ?? 0
    this.#writer.packet(interfaceId, bytes.subarray(0, length), {
      timeUs: this.#options.nowUs(),
      isInbound: isOutgoing,
      ...(traceId !== 0 && { comment: `trace ${traceId}` }),
    })
  }
}
