import { expect, test } from 'vitest'
import { ChannelError, channelPair, openBytes, openMessages } from '../../src/messages/index.ts'

test('sizes are numbers of bytes or texts with a binary unit, rounded up to pages', () => {
  expect(channelPair()[0].dataBytes).toBe(2 ** 20)
  expect(channelPair({ bytes: '64 KiB' })[0].dataBytes).toBe(65536)
  expect(channelPair({ bytes: '1.5MiB' })[1].dataBytes).toBe(1.5 * 2 ** 20)
  expect(channelPair({ bytes: 5000 })[0].dataBytes).toBe(8192)
  expect(channelPair({ bytes: 4096 })[0].dataBytes).toBe(4096)
})

test.each([
  ['1 MB'],
  ['MiB'],
  [''],
  [0],
  [-1],
  [4095],
  [Number.NaN],
  [1.5],
  ['2 GiB'],
  ['4097.3 B'],
])('the size %j is refused with one line that names the field', (bytes) => {
  const attempt = (): unknown => channelPair({ bytes })
  expect(attempt).toThrow(ChannelError)
  expect(attempt).toThrow(
    /^channelPair: bytes must be [^\n]+ from 4096 to 1073741824 bytes; got [^\n]*$/,
  )
})

test('a bad maxMessageBytes is refused by its own name', () => {
  expect(() => channelPair({ maxMessageBytes: '0 B' })).toThrow(/channelPair: maxMessageBytes must/)
})

test('an end opens once, wherever its description was copied to', () => {
  const [a, b] = channelPair({ bytes: '4 KiB' })
  openBytes(a)
  openBytes(b)
  expect(() => openBytes({ ...a })).toThrow(expect.objectContaining({ code: 'already-open' }))
  expect(() => openMessages(b)).toThrow(expect.objectContaining({ code: 'already-open' }))
})

test('something that is no port is refused with a sentence', () => {
  const wrong = { kind: 'something' } as unknown as Parameters<typeof openBytes>[0]
  expect(() => openBytes(wrong)).toThrow(
    /openBytes and openMessages take an end that channelPair made/,
  )
})
