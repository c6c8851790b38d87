// Frames as tests write them.

/** Six bytes of `02:00:00:00:00:NN`, or of the address given. */
function mac(address: number | string): number[] {
  if (typeof address === 'number') return [2, 0, 0, 0, address >> 8, address & 0xff]
  return address.split(':').map((digits) => Number.parseInt(digits, 16))
}

/** `02:00:00:00:HH:LL` */
export function macText(number: number): string {
  return mac(number)
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join(':')
}

export const BROADCAST = 'ff:ff:ff:ff:ff:ff'

export interface FrameOptions {
  readonly to: number | string
  readonly from: number | string
  readonly type?: number
  /** Behind the type. */
  readonly payload?: readonly number[] | Uint8Array
  /** Of the whole frame: zeros fill it. Default 60. */
  readonly length?: number
}

export function frameBytes(options: FrameOptions): Uint8Array<ArrayBuffer> {
  const { to, from, type = 0x88b5, payload = [] } = options
  const bytes = new Uint8Array(Math.max(options.length ?? 60, 14 + payload.length))
  bytes.set([...mac(to), ...mac(from), type >> 8, type & 0xff])
  bytes.set(payload, 14)
  return bytes
}

/** An IPv4 packet around `body`. */
export function ipv4(
  protocol: number,
  body: readonly number[] | Uint8Array,
  options: { readonly fragment?: number; readonly options?: readonly number[] } = {},
): number[] {
  const extra = options.options ?? []
  const headerLength = 20 + extra.length
  const total = headerLength + body.length
  const { fragment = 0 } = options
  return [
    0x40 | (headerLength / 4),
    0,
    total >> 8,
    total & 0xff,
    0x12,
    0x34,
    fragment >> 8,
    fragment & 0xff,
    64,
    protocol,
    0,
    0,
    ...[10, 0, 0, 1, 10, 0, 0, 2],
    ...extra,
    ...body,
  ]
}

/** An IPv6 packet around `body`, whose first header is `next`. */
export function ipv6(next: number, body: readonly number[] | Uint8Array): number[] {
  const source = Array.from({ length: 16 }, (_, index) => index)
  const target = Array.from({ length: 16 }, (_, index) => index + 16)
  return [
    0x60,
    0,
    0,
    0,
    body.length >> 8,
    body.length & 0xff,
    next,
    64,
    ...source,
    ...target,
    ...body,
  ]
}

/** A UDP datagram. */
export function udp(from: number, to: number, data: readonly number[] = [1, 2, 3, 4]): number[] {
  const length = 8 + data.length
  return [from >> 8, from & 0xff, to >> 8, to & 0xff, length >> 8, length & 0xff, 0, 0, ...data]
}

/** A TCP segment. */
export function tcp(
  from: number,
  to: number,
  data: readonly number[],
  options: { readonly sequence?: number; readonly flags?: number } = {},
): number[] {
  const head = new DataView(new ArrayBuffer(20))
  head.setUint16(0, from)
  head.setUint16(2, to)
  head.setUint32(4, options.sequence ?? 1)
  head.setUint8(12, 0x50)
  head.setUint8(13, options.flags ?? 0x10)
  head.setUint16(14, 1000)
  return [...new Uint8Array(head.buffer), ...data]
}

/** Whether the checksums of IPv4 (of IPv6 there is none), and of TCP or UDP, are right: summed one bit of the specification at a time. */
export function checksumOf(frame: Uint8Array): { ip: boolean; transport: boolean } {
  const isV4 = frame[14]! >> 4 === 4
  const headerLength = isV4 ? (frame[14]! & 15) * 4 : 40
  const packet = frame.subarray(14)
  const end = isV4 ? packet[2]! * 256 + packet[3]! : 40 + packet[4]! * 256 + packet[5]!
  const addresses = isV4 ? packet.subarray(12, 20) : packet.subarray(8, 40)
  const body = packet.subarray(headerLength, end)
  const protocol = isV4 ? packet[9]! : packet[6]!
  const pseudo = [...addresses, 0, protocol, body.length >> 8, body.length & 0xff]
  return {
    ip: !isV4 || onesSum([...packet.subarray(0, headerLength)]) === 0xffff,
    transport: onesSum([...pseudo, ...body]) === 0xffff,
  }
}

function onesSum(bytes: readonly number[]): number {
  let sum = 0
  for (let at = 0; at < bytes.length; at += 2) sum += bytes[at]! * 256 + (bytes[at + 1] ?? 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 65_536)
  return sum
}
