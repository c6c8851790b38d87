// The hash against the published vectors (Microsoft, "Verifying the RSS hash calculation").

import { expect, test } from 'vitest'
import { Toeplitz } from '../src/toeplitz.ts'

const KEY = Uint8Array.from(
  '6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa'
    .match(/../gu)!
    .map((digits) => Number.parseInt(digits, 16)),
)

function hash(source: string, target: string, from: number, to: number): [number, number] {
  const addresses = [...source.split('.'), ...target.split('.')].map(Number)
  const input = Uint8Array.of(...addresses, from >> 8, from & 255, to >> 8, to & 255)
  const toeplitz = new Toeplitz()
  toeplitz.setKey(KEY)
  return [toeplitz.hash(input, 0, 8, 0), toeplitz.hash(input, 0, 8, 8)]
}

test.each([
  ['66.9.149.187', '161.142.100.80', 2794, 1766, 0x323e_8fc2, 0x51cc_c178],
  ['199.92.111.2', '65.69.140.83', 14_230, 4739, 0xd718_262a, 0xc626_b0ea],
  ['24.19.198.95', '12.22.207.184', 12_898, 38_024, 0xd2d0_a5de, 0x5c2b_394a],
])('%s to %s', (source, target, from, to, addresses, ports) => {
  expect(hash(source, target, from, to)).toEqual([addresses, ports])
})
