// Ethernet addresses as text, bytes, and as the two numbers that hot code compares.

export interface MacAddress {
  /** First 16 bits. */
  readonly high: number
  /** Last 32 bits. */
  readonly low: number
}

const PATTERN = /^[\da-f]{2}([:-][\da-f]{2}){5}$/iu

/** Parses `00:15:5d:00:00:01`, or with dashes. Throws a RangeError for anything else, and for a group address. */
export function parseMacAddress(text: string): MacAddress {
  if (!PATTERN.test(text)) throw new RangeError(`not an Ethernet address: ${text}`)
  const digits = text.replaceAll(/[:-]/gu, '')
  const high = Number.parseInt(digits.slice(0, 4), 16)
  const low = Number.parseInt(digits.slice(4), 16)
  if (isGroup(high)) throw new RangeError(`a group address belongs to nobody: ${text}`)
  if (high === 0 && low === 0) throw new RangeError('the address of zeros belongs to nobody')
  return { high, low }
}

/** The six bytes. */
export function macBytes({ high, low }: MacAddress): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(6)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, high)
  view.setUint32(2, low)
  return bytes
}

/** The address as a number of 48 bits. Throws as `parseMacAddress` does. */
export function u48Of(text: string): number {
  const { high, low } = parseMacAddress(text)
  return high * 2 ** 32 + low
}

/** True for broadcast and multicast addresses, by their first 16 bits. */
export function isGroup(high: number): boolean {
  return (high & 0x0100) !== 0
}
