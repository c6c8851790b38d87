// Addresses as people write them. Inside, an IPv4 address is a number from 0 to 2^32-1, a MAC address six bytes.

export const MAC_BYTES = 6
export const BROADCAST_IPV4 = 0xffff_ffff

/** The number of `192.168.0.1`; null for anything else, leading zeros included. */
export function parseIpv4(text: string): number | null {
  const parts = text.split('.')
  if (parts.length !== 4) return null
  let address = 0
  for (const part of parts) {
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return null
    address = address * 256 + Number(part)
  }
  return address
}

export function formatIpv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join('.')
}

/** An address and how many of its bits are the network's, 0 to 32, of `192.168.0.1/24`; null for anything else. */
export function parseCidr(text: string): { address: number; prefixBits: number } | null {
  const [, host = '', bits = ''] = /^([^/]*)\/(0|[1-9][0-9]?)$/.exec(text) ?? []
  const address = parseIpv4(host)
  return address === null || Number(bits) > 32 ? null : { address, prefixBits: Number(bits) }
}

/** The ones of a network mask, 0 to 32 of them. */
export function maskOf(prefixBits: number): number {
  return prefixBits === 0 ? 0 : (0xffff_ffff << (32 - prefixBits)) >>> 0
}

export function formatMac(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':')
}

/** 224.0.0.0/4, which no host is. */
export function isMulticast(address: number): boolean {
  return address >>> 28 === 0xe
}
