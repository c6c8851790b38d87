// A 16550 serial port whose transmitter is always ready: what a guest writes becomes lines, and what the host has for it is read a byte
// at a time. No interrupts: drivers that find none poll, as a console does. Registers as the PC16550D data sheet has them.
//
//   offset  0 data (divisor low)   1 IER (divisor high)   2 IIR, FCR   3 LCR   4 MCR   5 LSR   6 MSR   7 scratch

import type { EmulatedDevice } from './device-bus.ts'

export const COM1 = 0x3f8
export const SERIAL_REGISTERS = 8

const LCR_DIVISOR_LATCH = 0x80
const IIR_NONE_PENDING = 0x01
const LSR_DATA_READY = 0x01
/** Holding register and transmitter empty. */
const LSR_CAN_TRANSMIT = 0x60
/** Clear to send, data set ready, carrier detect: somebody is at the other end. */
const MSR_CONNECTED = 0xb0
const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d
/** A line that does not end is cut here, and what waits to be read ends here. */
const LINE_MAX = 512
const RECEIVED_MAX = 4096

export class SerialPort implements EmulatedDevice {
  readonly #onLine: (line: string) => void
  readonly #registers: Uint8Array = new Uint8Array(SERIAL_REGISTERS)
  readonly #received: number[] = []
  #divisor = 0
  #line = ''

  /** `onLine`: told of each whole line that the guest sends, in Latin-1. */
  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine
  }

  /** Bytes for the guest. Those that it has no room for are lost. */
  receive(bytes: Uint8Array): void {
    for (const byte of bytes) if (this.#received.length < RECEIVED_MAX) this.#received.push(byte)
  }

  read(offset: number): number {
    switch (offset) {
      case 0:
        return this.#hasLatch ? this.#divisor & 0xff : (this.#received.shift() ?? 0)
      case 1:
        return this.#hasLatch ? this.#divisor >>> 8 : this.#registers[1]!
      case 2:
        return IIR_NONE_PENDING
      case 5:
        return LSR_CAN_TRANSMIT | (this.#received.length > 0 ? LSR_DATA_READY : 0)
      case 6:
        return MSR_CONNECTED
      default:
        return this.#registers[offset & (SERIAL_REGISTERS - 1)]!
    }
  }

  write(offset: number, _size: number, value: number): void {
    const byte = value & 0xff
    if (offset === 0 && this.#hasLatch) this.#divisor = (this.#divisor & 0xff00) | byte
    else if (offset === 0) this.#transmit(byte)
    else if (offset === 1 && this.#hasLatch) this.#divisor = (byte << 8) | (this.#divisor & 0xff)
    else if (offset < SERIAL_REGISTERS) this.#registers[offset] = byte
  }

  get #hasLatch(): boolean {
    return (this.#registers[3]! & LCR_DIVISOR_LATCH) !== 0
  }

  #transmit(byte: number): void {
    if (byte === CARRIAGE_RETURN) return
    if (byte !== LINE_FEED) this.#line += String.fromCharCode(byte)
    if (byte !== LINE_FEED && this.#line.length < LINE_MAX) return
    const line = this.#line
    this.#line = ''
    this.#onLine(line)
  }
}
