// Messages of the domain name system, with another codec as the judge.

import { decode, encode, type Answer } from 'dns-packet'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import {
  dnsAnswer,
  dnsQuestion,
  isDnsName,
  parseDnsAnswer,
  parseDnsQuery,
} from '@guestyard/network/dns'

const label = fc.stringMatching(/^[a-z0-9_-]{1,20}$/)
const name = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join('.'))
const id = fc.nat(0xffff)

function answerTo(asked: string, answers: Answer[]): Uint8Array {
  const question = { type: 'A', name: asked } as const
  return encode({ type: 'response', id: 7, flags: 0, questions: [question], answers })
}

test('a question is what another codec reads, and back', () => {
  fc.assert(
    fc.property(id, name, (number, asked) => {
      const bytes = dnsQuestion(number, asked, 'A')
      expect(decode(Buffer.from(bytes))).toMatchObject({
        ...{ type: 'query', id: number, flag_rd: true },
        questions: [{ name: asked, type: 'A', class: 'IN' }],
      })
      expect(parseDnsQuery(bytes)).toMatchObject({ id: number, name: asked, type: 'A' })
    }),
  )
})

test.each([
  ['A', ['10.0.0.1', '10.0.0.255']],
  ['AAAA', ['2001:db8::1', '::1', 'fe80::', '1:2:3:4:5:6:7:8']],
  ['PTR', ['db.guestyard.internal']],
] as const)('an answer of type %s is what another codec reads', (type, values) => {
  const query = parseDnsQuery(encode({ id: 9, questions: [{ type, name: 'a.b' }] }))!
  const packet = decode(Buffer.from(dnsAnswer(query, { code: 0, values }, 5, true)))
  expect(packet).toMatchObject({ id: 9, rcode: 'NOERROR', flag_aa: true, type: 'response' })
  expect(packet.answers?.map((one) => 'data' in one && one.data)).toEqual(values)
})

test('an answer that is too long is cut to none, and says so', () => {
  const query = parseDnsQuery(dnsQuestion(1, 'x', 'PTR'))!
  const long = Array.from({ length: 4 }, () => 'a'.repeat(60)).join('.')
  const bytes = dnsAnswer(query, { code: 0, values: [long, long, long] }, 5, true)
  expect(decode(Buffer.from(bytes))).toMatchObject({ flag_tc: true, answers: [] })
})

test('aliases are followed, and addresses of others are not taken', () => {
  const bytes = answerTo('www.a', [
    { type: 'CNAME', name: 'www.a', data: 'host.a' },
    { type: 'A', name: 'other.a', data: '10.0.0.9' },
    { type: 'A', name: 'host.a', data: '10.0.0.1' },
  ])
  expect(parseDnsAnswer(bytes, 7, 'WWW.a')).toEqual({ code: 0, values: ['10.0.0.1'] })
  expect(parseDnsAnswer(bytes, 8, 'www.a')).toBeNull()
  expect(parseDnsAnswer(bytes, 7, 'www.b')).toBeNull()
})

describe('what is refused', () => {
  const good = dnsQuestion(1, 'db', 'A')
  const changed = (at: number, ...bytes: number[]): Uint8Array => {
    const copy = good.slice()
    copy.set(bytes, at)
    return copy
  }

  test.each<[string, Uint8Array]>([
    ['a name that points at itself', changed(12, 0xc0, 12)],
    ['a name that points ahead', changed(12, 0xc0, 200)],
    ['a label of 64', changed(12, 64)],
    ['65,535 questions', changed(4, 0xff, 0xff)],
    ['65,535 records', changed(6, 0xff, 0xff)],
    ['a response', changed(2, 0x80)],
    ['an update', changed(2, 0x28)],
    ['another class', changed(18, 3)],
    ['a message of 513 bytes', new Uint8Array(513)],
    ['half a header', good.slice(0, 6)],
    ['half a question', good.slice(0, -3)],
  ])('%s', (_what, bytes) => {
    expect(parseDnsQuery(bytes)).toBeNull()
  })

  test('bytes of any kind do no harm', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), fc.boolean(), (bytes, isShaped) => {
        if (isShaped && bytes.length > 12) bytes.set([0, 7, 0x80, 0, 0, 1, 0, 20, 0, 0, 0, 0])
        parseDnsQuery(bytes)
        const found = parseDnsAnswer(bytes, 7, 'a')
        expect(found === null || found.values.length <= 16).toBe(true)
      }),
      { numRuns: 2_000 },
    )
  })

  test.each(['', '.', 'a..b', 'a.', 'ä', 'a b', 'a'.repeat(64), `${'a.'.repeat(126)}aa`])(
    'the name %j',
    (text) => expect(isDnsName(text)).toBe(false),
  )
})
