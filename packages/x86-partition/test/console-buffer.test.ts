import { expect, test } from 'vitest'

import { ConsoleBuffer } from '../src/guest/console-buffer.ts'

function say(console: ConsoleBuffer, text: string): void {
  for (const byte of new TextEncoder().encode(text)) console.put(byte)
}

async function read(console: ConsoleBuffer): Promise<string | null> {
  const bytes = await console.read()
  return bytes === null ? null : new TextDecoder().decode(bytes)
}

test('what was said is read once, in order, together', async () => {
  const console = new ConsoleBuffer()
  say(console, 'before ')
  expect(await read(console)).toBe('before ')
  const later = read(console)
  say(console, 'and ')
  say(console, 'after')
  expect(await later).toBe('and after')
})

test('a closed console gives what it has, and then null', async () => {
  const console = new ConsoleBuffer()
  say(console, 'the end')
  console.close()
  expect([await read(console), await read(console)]).toEqual(['the end', null])
})

test('a second reader takes the place of the first, which gets nothing', async () => {
  const console = new ConsoleBuffer()
  const first = read(console)
  const second = read(console)
  say(console, 'x')
  expect([await first, await second]).toEqual(['', 'x'])
})

test('what nobody reads is kept up to a bound: the latest', async () => {
  const console = new ConsoleBuffer()
  say(console, `${'a'.repeat(300_000)}z`)
  const text = await read(console)
  expect(text!.length).toBe(256 * 1024)
  expect(text!.endsWith('az')).toBe(true)
})

test('last words are lines with something to read in them, or why the kernel gave up', () => {
  const console = new ConsoleBuffer()
  say(console, 'one\r\n\r\n\u001b[1mtwo\u0007\r\n   \r\nthree\r\n')
  expect(console.lastWords(2)).toEqual(['[1mtwo', 'three'])
  say(console, '[ 1.0] Kernel panic - not syncing: no init\r\nEAX: 0\r\n')
  expect(console.lastWords(2)).toEqual(['Kernel panic - not syncing: no init'])
  expect(new ConsoleBuffer().lastWords(3)).toEqual([])
})
