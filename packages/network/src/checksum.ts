// HOT
// The Internet's checksum (RFC 1071) over pieces that may be cut anywhere, and the ones that guests leave to their adapter.

import type { Frame } from './frame.ts'
import { IpProtocol } from './headers.ts'
import type { FrameHeaders } from './headers.ts'
import { ReceiveChecksum } from './rndis.ts'

/** Words that are added before their sum is folded: it stays a small integer. */
const FOLD_BYTES = 16_384

/** A sum in progress. */
class ChecksumSum {
  #sum = 0
  #isOdd = false

  clear(): void {
    this.#sum = 0
    this.#isOdd = false
  }

  /** Adds a 16-bit number, at an even place. */
  add16(value: number): void {
    this.#sum += value
  }

  add(u8: Uint8Array, at: number, lengthBytes: number): void {
    let from = at
    let left = lengthBytes
    if (left > 0 && this.#isOdd) {
      this.#sum += u8[from]!
      from += 1
      left -= 1
      this.#isOdd = false
    }
    while (left > 1) {
      const part = left < FOLD_BYTES ? left & -2 : FOLD_BYTES
      this.#sum = fold(this.#sum + sumWords(u8, from, part))
      from += part
      left -= part
    }
    if (left === 1) {
      this.#sum += u8[from]! << 8
      this.#isOdd = true
    }
  }

  /** The checksum, as it goes into a header. */
  value(): number {
    return ~fold(this.#sum) & 0xffff
  }
}

function sumWords(u8: Uint8Array, at: number, lengthBytes: number): number {
  let sum = 0
  const end = at + lengthBytes
  for (let from = at; from < end; from += 2) sum += (u8[from]! << 8) | u8[from + 1]!
  return sum
}

function fold(sum: number): number {
  let folded = sum
  while (folded > 0xffff) folded = (folded & 0xffff) + (folded >>> 16)
  return folded
}

const TCP_CHECKSUM_AT = 16
const UDP_CHECKSUM_AT = 6
const sum = new ChecksumSum()

/** Writes the checksum of the IPv4 header. False when there is none in the head. */
export function fillIpChecksum(frame: Frame, headers: FrameHeaders): boolean {
  if (headers.ipVersion !== 4) return false
  const { view, header } = frame
  const { ipAt } = headers
  view.setUint16(ipAt + 10, 0)
  sum.clear()
  sum.add(header, ipAt, (header[ipAt]! & 0xf) * 4)
  view.setUint16(ipAt + 10, sum.value())
  frame.checked |= ReceiveChecksum.IP_SUCCEEDED
  return true
}

/** Writes the checksum of TCP or UDP, over all of the packet. False when it is neither, a fragment, or its header is not in the head. */
export function fillTransportChecksum(frame: Frame, headers: FrameHeaders): boolean {
  const { protocol, transportAt } = headers
  const isTcp = protocol === IpProtocol.TCP
  if (isTcp ? headers.tcpHeaderBytes(frame) === 0 : !headers.hasUdp(frame)) return false
  if (headers.isFragment) return false
  const at = transportAt + (isTcp ? TCP_CHECKSUM_AT : UDP_CHECKSUM_AT)
  frame.view.setUint16(at, 0)
  sumTransport(frame, headers)
  const value = sum.value()
  // In UDP 0 says that there is none.
  frame.view.setUint16(at, value === 0 && !isTcp ? 0xffff : value)
  frame.checked |= isTcp ? ReceiveChecksum.TCP_SUCCEEDED : ReceiveChecksum.UDP_SUCCEEDED
  return true
}

// Pseudo-header, header and data.
function sumTransport(frame: Frame, headers: FrameHeaders): void {
  const { header } = frame
  const { ipAt, ipEnd, transportAt } = headers
  sum.clear()
  if (headers.ipVersion === 4) sum.add(header, ipAt + 12, 8)
  else sum.add(header, ipAt + 8, 32)
  sum.add16(headers.protocol)
  sum.add16(ipEnd - transportAt)
  const inHead = Math.min(frame.headerBytes, ipEnd) - transportAt
  sum.add(header, transportAt, inHead)
  let left = ipEnd - transportAt - inHead
  const { memory } = frame
  if (memory === null) return
  for (let piece = 0; piece < frame.pieceCount && left > 0; piece += 1) {
    const length = frame.lengths[piece]!
    const taken = length < left ? length : left
    sum.add(memory.u8, frame.addresses[piece]!, taken)
    left -= taken
  }
}
