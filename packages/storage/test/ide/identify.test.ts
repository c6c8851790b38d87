import { expect, test } from 'vitest'
import { MemoryDisk } from '@guestyard/storage'

import { IdeHost, patternDisk } from './ide-host.ts'

/** Words that are not zero, as `index: value`. */
function wordsOf(page: Uint8Array): Record<number, string> {
  const view = new DataView(page.buffer)
  const words: Record<number, string> = {}
  for (let word = 0; word < 256; word++) {
    const value = view.getUint16(word * 2, true)
    if (value !== 0) words[word] = value.toString(16).padStart(4, '0')
  }
  return words
}

function textOf(page: Uint8Array, word: number, count: number): string {
  let text = ''
  for (let at = word * 2; at < (word + count) * 2; at += 2) {
    text += String.fromCharCode(page[at + 1]!, page[at]!)
  }
  return text
}

test('IDENTIFY DEVICE says word for word what the disk is', () => {
  // 4 GiB less a block, so that every field of a size has something to say; only what is touched has memory behind it.
  const disk = new MemoryDisk({ sizeBytes: 2 ** 32 - 512, uniqueId: new Uint8Array(16).fill(0xab) })
  const host = new IdeHost({ disk })
  host.command(0xec)
  expect(host.in(0x1f7)).toBe(0x58)
  const page = host.readData(512)
  expect(host.in(0x1f7)).toBe(0x50)
  expect(textOf(page, 10, 10)).toBe('abababababababababab')
  expect(textOf(page, 23, 4)).toBe('1.0     ')
  expect(textOf(page, 27, 20)).toBe('Virtual HD'.padEnd(40))
  page.fill(0, 20, 40)
  page.fill(0, 46, 94)
  const words = wordsOf(page)
  delete words[255]
  expect(words).toEqual({
    0: '0040',
    1: '2082', // 8322 cylinders of 16 heads and 63 sectors
    3: '0010',
    6: '003f',
    47: '8010',
    48: '0001',
    49: '0b00',
    50: '4000',
    53: '0007',
    54: '2082',
    55: '0010',
    56: '003f',
    57: 'ffe0',
    58: '007f',
    60: 'ffff',
    61: '007f',
    63: '0007',
    64: '0003',
    65: '0078',
    66: '0078',
    67: '0078',
    68: '0078',
    69: '4020',
    80: '00f0',
    82: '0068',
    83: '7400',
    84: '4040',
    85: '0068',
    86: '3400',
    87: '4040',
    88: '0007',
    93: '600b',
    100: 'ffff',
    101: '007f',
    105: '0008',
    106: '6003',
    169: '0001',
    209: '4000',
    217: '0001',
  })
})

test('the page adds up to nothing, and shows what was set', () => {
  const host = new IdeHost({ disk: patternDisk(2048) })
  host.command(0xc6, 0, 8)
  host.command(0xef, 0, 0x42, 0xe0, 3)
  host.command(0xef, 0, 0, 0xe0, 0x82)
  host.command(0x91, 0, 17, 0xa3)
  host.command(0xec)
  const page = host.readData(512)
  expect(page.reduce((sum, byte) => (sum + byte) & 0xff, 0)).toBe(0)
  const view = new DataView(page.buffer)
  const words = [59, 88, 63, 85, 54, 55, 56].map((word) => view.getUint16(word * 2, true))
  expect(words).toEqual([0x108, 0x407, 0x0007, 0x48, 30, 4, 17])
})
