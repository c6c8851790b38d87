// The Internet checksum (RFC 1071): ones' complement of the ones' complement sum of 16-bit words.

/** Adds the words of bytes `at` to `end` to a sum that isn't folded yet. An odd byte at the end counts as the high one of its word. */
export function addWords(sum: number, bytes: Uint8Array, at: number, end: number): number {
  let total = sum
  const even = end - 1
  for (; at < even; at += 2) total += (bytes[at]! << 8) | bytes[at + 1]!
  return at < end ? total + (bytes[at]! << 8) : total
}

/** The checksum of a sum: 0 to 0xFFFF. A packet that carries its right one sums to 0. */
export function fold(sum: number): number {
  let folded = sum
  while (folded > 0xffff) folded = (folded % 0x1_0000) + Math.floor(folded / 0x1_0000)
  return ~folded & 0xffff
}

/** The sum of the pseudo header of TCP and UDP (RFC 9293 section 3.1). */
export function pseudoSum(from: number, to: number, protocol: number, bytes: number): number {
  return (from >>> 16) + (from & 0xffff) + (to >>> 16) + (to & 0xffff) + protocol + bytes
}
