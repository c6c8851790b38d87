// HOT
// What a guarded port may not send: answers of a DHCP server, and what only a router says. A frame that hides its transport header (cut
// off, or in a fragment too small for it) can't be judged, and is not let through either (RFC 7113).

import type { Frame } from '../frame.ts'
import { EtherType, IpProtocol } from '../headers.ts'
import type { FrameHeaders } from '../headers.ts'
import { DropReason } from './drop-reason.ts'

const DHCP_SERVER_PORT = 67
const DHCP_V6_SERVER_PORT = 547
const ICMP_REDIRECT = 5
const ICMP_ROUTER_ADVERTISEMENT = 9
const ICMPV6_ROUTER_ADVERTISEMENT = 134
const ICMPV6_REDIRECT = 137

/** DHCP guard: DropReason.NONE, DHCP_GUARD or UNREADABLE. */
export function dhcpGuard(frame: Frame, headers: FrameHeaders): number {
  if (!isIp(headers)) return DropReason.NONE
  if (!headers.isReadable) return DropReason.UNREADABLE
  if (headers.protocol !== IpProtocol.UDP || !headers.isFirstFragment) return DropReason.NONE
  if (!headers.hasUdp(frame)) return DropReason.UNREADABLE
  const from = frame.view.getUint16(headers.transportAt)
  const server = headers.ipVersion === 4 ? DHCP_SERVER_PORT : DHCP_V6_SERVER_PORT
  return from === server ? DropReason.DHCP_GUARD : DropReason.NONE
}

/** Router guard: DropReason.NONE, ROUTER_GUARD or UNREADABLE. */
export function routerGuard(frame: Frame, headers: FrameHeaders): number {
  if (!isIp(headers)) return DropReason.NONE
  if (!headers.isReadable) return DropReason.UNREADABLE
  const isV4 = headers.ipVersion === 4
  const icmp = isV4 ? IpProtocol.ICMP : IpProtocol.ICMPV6
  if (headers.protocol !== icmp || !headers.isFirstFragment) return DropReason.NONE
  if (headers.transportAt === 0) return DropReason.UNREADABLE
  const type = frame.header[headers.transportAt]!
  const isRouters = isV4
    ? type === ICMP_REDIRECT || type === ICMP_ROUTER_ADVERTISEMENT
    : type === ICMPV6_REDIRECT || type === ICMPV6_ROUTER_ADVERTISEMENT
  return isRouters ? DropReason.ROUTER_GUARD : DropReason.NONE
}

function isIp(headers: FrameHeaders): boolean {
  return headers.etherType === EtherType.IPV4 || headers.etherType === EtherType.IPV6
}
