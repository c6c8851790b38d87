// HOT
// The hash that spreads flows over channels: Toeplitz, over addresses and ports in the order of the wire (Microsoft, "RSS hashing types").

import type { Frame } from './frame.ts'
import { IpProtocol } from './headers.ts'
import type { FrameHeaders } from './headers.ts'

const KEY_BYTES = 40
/** Two IPv6 addresses and two ports. */
const INPUT_BYTES = 36

/** A hash with one key. */
export class Toeplitz {
  /** For each byte of the input and each value, what it adds. */
  readonly #table: Int32Array<ArrayBuffer> = new Int32Array(INPUT_BYTES * 256)

  /** `key`: 40 bytes. */
  setKey(key: Uint8Array): void {
    for (let at = 0; at < INPUT_BYTES; at += 1) {
      for (let value = 0; value < 256; value += 1) {
        this.#table[at * 256 + value] = part(key, at, value)
      }
    }
  }

  /** The hash of `lengthBytes` bytes of input that lie in two stretches, u32. */
  hash(header: Uint8Array, addressesAt: number, addressBytes: number, portsAt: number): number {
    const table = this.#table
    let hash = 0
    for (let at = 0; at < addressBytes; at += 1) {
      hash ^= table[at * 256 + header[addressesAt + at]!]!
    }
    if (portsAt === 0) return hash >>> 0
    for (let at = 0; at < 4; at += 1) {
      hash ^= table[(addressBytes + at) * 256 + header[portsAt + at]!]!
    }
    return hash >>> 0
  }

  /** The hash of a frame whose headers were parsed; 0 for what is no IP. TCP counts its ports. */
  hashFrame(frame: Frame, headers: FrameHeaders): number {
    const { ipVersion, ipAt } = headers
    if (ipVersion === 0) return 0
    const isTcp = headers.protocol === IpProtocol.TCP && headers.tcpHeaderBytes(frame) > 0
    const portsAt = isTcp && !headers.isFragment ? headers.transportAt : 0
    return ipVersion === 4
      ? this.hash(frame.header, ipAt + 12, 8, portsAt)
      : this.hash(frame.header, ipAt + 8, 32, portsAt)
  }
}

// Each bit of the value, from the highest, that is set adds the key from that bit on.
function part(key: Uint8Array, at: number, value: number): number {
  let sum = 0
  for (let bit = 0; bit < 8; bit += 1) {
    if ((value & (0x80 >>> bit)) !== 0) sum ^= keyWindow(key, at * 8 + bit)
  }
  return sum
}

function keyWindow(key: Uint8Array, firstBit: number): number {
  let window = 0
  for (let bit = firstBit; bit < firstBit + 32; bit += 1) {
    const byte = key[(bit >>> 3) % KEY_BYTES]!
    window = (window << 1) | ((byte >>> (7 - (bit & 7))) & 1)
  }
  return window
}
