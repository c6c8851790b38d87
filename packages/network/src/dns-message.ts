// Messages of the domain name system (RFC 1035), as far as names of machines go: one question, and addresses or names for an answer. What a peer sends
// is bounded before it is looked at, and nothing here throws.

import { formatIpv4 } from '@guestyard/tcpip'

/** Where servers listen. */
export const DNS_PORT = 53
/** What is asked for. */
export type DnsType = 'A' | 'AAAA' | 'PTR'
/** Of an answer (RFC 1035 section 4.1.1). */
export const DnsCode = { NO_ERROR: 0, SERVER_FAILURE: 2, NO_SUCH_NAME: 3, REFUSED: 5 } as const

export interface DnsQuery {
  readonly id: number
  /** As it was asked for: letters of either case. */
  readonly name: string
  /** Any other type is `null`: there is nothing of it. */
  readonly type: DnsType | null
  /** As the wire has it, for the answer. */
  readonly typeNumber: number
  readonly isRecursive: boolean
}

export interface DnsFound {
  /** One of DnsCode, or what another server says. */
  readonly code: number
  /** Addresses as text, or names. */
  readonly values: readonly string[]
}

const HEADER_BYTES = 12
/** Of a message by UDP, either way. */
const MESSAGE_MAX = 512
const RECORDS_MAX = 32
const VALUES_MAX = 16
const NAME_MAX = 253
const Flag = { RESPONSE: 0x8000, OURS: 0x0400, CUT: 0x0200, RECURSE: 0x0100, CAN: 0x0080 } as const
const CODE_MASK = 0xf
/** Response, and the operation: 0 is a query. */
const KIND_MASK = 0xf800
const CLASS_IN = 1
const TYPES: Readonly<Record<DnsType, number>> = { A: 1, PTR: 12, AAAA: 28 }
const CNAME = 5
const POINTER = 0xc0
/** The name of the question, which is behind the header. */
const TO_QUESTION = 0xc00c
const NAME = /^(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/i
const ascii = new TextEncoder()

/** Whether it is a name that can be asked for: labels of letters, digits, - and _, 253 characters at most. */
export function isDnsName(name: string): boolean {
  return NAME.test(name)
}

/** A question; null for anything else. `bytes` is read during the call. */
export function parseDnsQuery(bytes: Uint8Array): DnsQuery | null {
  const view = bounded(bytes, 0, [0, 0, 1])
  const asked = view === null ? null : questionOf(view)
  if (view === null || asked === null) return null
  const { name, typeNumber } = asked
  const type = DNS_TYPES.find((one) => TYPES[one] === typeNumber) ?? null
  const isRecursive = (view.getUint16(2) & Flag.RECURSE) !== 0
  return { id: view.getUint16(0), name, type, typeNumber, isRecursive }
}

/** The answer to a question: 512 bytes at most, empty and marked when it would be more. `isOurs`: the server knows it by itself. */
export function dnsAnswer(
  query: DnsQuery,
  { code, values }: DnsFound,
  ttlSeconds: number,
  isOurs: boolean,
): Uint8Array {
  const { id, name, type, typeNumber, isRecursive } = query
  const records = type === null ? [] : values.slice(0, VALUES_MAX).map((one) => dataOf(type, one))
  const known = records.filter((data) => data !== null)
  const flags =
    Flag.RESPONSE | Flag.CAN | code | (isRecursive ? Flag.RECURSE : 0) | (isOurs ? Flag.OURS : 0)
  const head = message(id, flags, name, typeNumber, known.length)
  const length = known.reduce((sum, data) => sum + RECORD_BYTES + data.length, head.length)
  if (length > MESSAGE_MAX) return message(id, flags | Flag.CUT, name, typeNumber, 0)
  const whole = new Uint8Array(length)
  const view = new DataView(whole.buffer)
  whole.set(head)
  let at = head.length
  for (const data of known) {
    view.setUint16(at, TO_QUESTION)
    view.setUint16(at + 2, typeNumber)
    view.setUint16(at + 4, CLASS_IN)
    view.setUint32(at + 6, ttlSeconds)
    view.setUint16(at + 10, data.length)
    whole.set(data, at + RECORD_BYTES)
    at += RECORD_BYTES + data.length
  }
  return whole
}

/** A question of ours. */
export function dnsQuestion(id: number, name: string, type: DnsType): Uint8Array {
  return message(id, Flag.RECURSE, name, TYPES[type], 0)
}

/** The IPv4 addresses that were found, aliases followed; null when it is no answer to that question. */
export function parseDnsAnswer(bytes: Uint8Array, id: number, name: string): DnsFound | null {
  const view = bounded(bytes, Flag.RESPONSE, [RECORDS_MAX, RECORDS_MAX, RECORDS_MAX])
  const asked = view === null ? null : questionOf(view)
  if (view === null || asked === null || view.getUint16(0) !== id) return null
  if (asked.name.toLowerCase() !== name.toLowerCase() || asked.typeNumber !== TYPES.A) return null
  const names = new Set([name.toLowerCase()])
  const values: string[] = []
  let at = asked.end
  for (let left = view.getUint16(6); left > 0; left -= 1) {
    const owner = readName(view, at)
    if (owner === null || owner.end + RECORD_BYTES - 2 > view.byteLength) return null
    const typeNumber = view.getUint16(owner.end)
    const from = owner.end + RECORD_BYTES - 2
    const length = view.getUint16(from - 2)
    if (length > view.byteLength - from) return null
    at = from + length
    if (!names.has(owner.name.toLowerCase())) continue
    const alias = typeNumber === CNAME ? readName(view, from) : null
    if (alias !== null) names.add(alias.name.toLowerCase())
    if (typeNumber === TYPES.A && length === 4) values.push(formatIpv4(view.getUint32(from)))
  }
  return { code: view.getUint16(2) & CODE_MASK, values: values.slice(0, VALUES_MAX) }
}

/** Of a record whose name is a pointer: all but its data. */
const RECORD_BYTES = 12
const DNS_TYPES = Object.keys(TYPES) as readonly DnsType[]

/** A copy of a message of that kind, with one question and so many records at most (the message may be a guest's to write); null for any other. */
function bounded(bytes: Uint8Array, kind: number, most: readonly number[]): DataView | null {
  if (bytes.length < HEADER_BYTES || bytes.length > MESSAGE_MAX) return null
  const view = new DataView(bytes.slice().buffer)
  if ((view.getUint16(2) & KIND_MASK) !== kind || view.getUint16(4) !== 1) return null
  return most.every((count, index) => view.getUint16(6 + 2 * index) <= count) ? view : null
}

function questionOf(view: DataView): { name: string; typeNumber: number; end: number } | null {
  const read = readName(view, HEADER_BYTES)
  if (read === null || !isDnsName(read.name) || read.end + 4 > view.byteLength) return null
  if (view.getUint16(read.end + 2) !== CLASS_IN) return null
  return { name: read.name, typeNumber: view.getUint16(read.end), end: read.end + 4 }
}

/** A name, its labels with dots between; pointers lead back only, so that every name ends. Null: it doesn't, or it is too long. */
function readName(view: DataView, at: number): { name: string; end: number } | null {
  const labels: string[] = []
  let from = at
  let before = at
  let end = 0
  let length = 0
  for (;;) {
    if (from >= view.byteLength) return null
    const bytes = view.getUint8(from)
    if (bytes >= POINTER) {
      if (from + 2 > view.byteLength) return null
      const to = view.getUint16(from) & 0x3fff
      if (to >= before) return null
      if (end === 0) end = from + 2
      from = to
      before = to
      continue
    }
    if (bytes === 0) return { name: labels.join('.'), end: end === 0 ? from + 1 : end }
    length += bytes + 1
    if (bytes > 63 || length > NAME_MAX + 1 || from + 1 + bytes > view.byteLength) return null
    let label = ''
    for (let next = from + 1; next <= from + bytes; next += 1) {
      label += String.fromCodePoint(view.getUint8(next))
    }
    labels.push(label)
    from += 1 + bytes
  }
}

/** Header and question. */
function message(
  id: number,
  flags: number,
  name: string,
  typeNumber: number,
  answers: number,
): Uint8Array {
  const wire = nameBytes(name)
  const bytes = new Uint8Array(HEADER_BYTES + wire.length + 4)
  const view = new DataView(bytes.buffer)
  for (const [index, value] of [id, flags, 1, answers].entries()) view.setUint16(2 * index, value)
  bytes.set(wire, HEADER_BYTES)
  view.setUint16(HEADER_BYTES + wire.length, typeNumber)
  view.setUint16(HEADER_BYTES + wire.length + 2, CLASS_IN)
  return bytes
}

/** Of a name that `isDnsName`. */
function nameBytes(name: string): Uint8Array {
  const labels = name.split('.').map((label) => [label.length, ...ascii.encode(label)])
  return Uint8Array.from([...labels.flat(), 0])
}

/** What a record of that type carries; null when the text is none. */
function dataOf(type: DnsType, text: string): Uint8Array | null {
  if (type === 'PTR') return isDnsName(text) ? nameBytes(text) : null
  return type === 'A' ? ipv4Bytes(text) : ipv6Bytes(text)
}

function ipv4Bytes(text: string): Uint8Array | null {
  const parts = text.split('.').map(Number)
  const isAddress = parts.length === 4 && parts.every((part) => part >= 0 && part <= 255)
  return isAddress ? Uint8Array.from(parts) : null
}

function ipv6Bytes(text: string): Uint8Array | null {
  const [front = '', back, ...more] = text.split('::')
  const wordsOf = (half: string): number[] =>
    half === ''
      ? []
      : half
          .split(':')
          .map((word) => (/^[\da-f]{1,4}$/i.test(word) ? Number.parseInt(word, 16) : -1))
  const [first, last] = [wordsOf(front), back === undefined ? [] : wordsOf(back)]
  const missing = 8 - first.length - last.length
  if (more.length > 0 || (back === undefined ? missing !== 0 : missing < 1)) return null
  const words = [...first, ...Array.from({ length: missing }, () => 0), ...last]
  return words.includes(-1)
    ? null
    : Uint8Array.from(words.flatMap((word) => [word >> 8, word & 0xff]))
}
