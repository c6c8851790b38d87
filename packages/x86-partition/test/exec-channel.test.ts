// The host's end of COM2 against a guest that serves it, and against one that says anything at all.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { array, assert, integer, property, string, uint8Array } from 'fast-check'
import { expect, test } from 'vitest'

import { execServer } from '../src/guest/exec-server.ts'
import { ExecChannel, type ExecResult } from '../src/guest/exec-channel.ts'

const MARK = 'k7Qx'

/** A guest: answers each line as exec-server.ts does, and prints what `run` gives. */
function served(run: (script: string) => { readonly output: Uint8Array; readonly code: number }): {
  readonly channel: ExecChannel
  readonly lines: string[]
} {
  const lines: string[] = []
  let script = ''
  const say = (bytes: Uint8Array | string): void => {
    const raw = typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes
    for (const byte of raw) channel.receive(byte)
  }
  const channel: ExecChannel = new ExecChannel(
    MARK,
    (bytes) => {
      const line = new TextDecoder().decode(bytes)
      lines.push(line)
      const [verb, data = ''] = line.trimEnd().split(' ')
      if (verb === 'put') {
        script += Buffer.from(data, 'base64').toString('utf8')
        say(`\0${MARK} ok\n`)
      } else if (verb === 'run') {
        const { output, code } = run(script)
        script = ''
        say(output)
        say(`\0${MARK} exit ${code}\n`)
      }
    },
    () => {},
  )
  say(`\0${MARK} ready\n`)
  return { channel, lines }
}

test('a script arrives whole, however long, in lines that a terminal can hold', () => {
  assert(
    property(string({ unit: 'binary', maxLength: 6000 }), (script) => {
      let seen = ''
      const { channel, lines } = served((given) => {
        seen = given
        return { output: new Uint8Array(0), code: 0 }
      })
      channel.run(script, () => {})
      return seen === script.toWellFormed() && lines.every((line) => line.length < 4096)
    }),
    { numRuns: 30 },
  )
})

test('output comes back byte for byte, NULs and half marks included, with its code', () => {
  const noise = new TextEncoder().encode(`\0${MARK}\0\0${MARK} \n\0x`)
  assert(
    property(uint8Array({ maxLength: 300 }), integer({ min: 0, max: 255 }), (bytes, code) => {
      const output = Uint8Array.from([...bytes, ...noise, ...bytes])
      const results: ExecResult[] = []
      const { channel } = served(() => ({ output, code }))
      channel.run('x', (result) => results.push(result))
      channel.run('y', (result) => results.push(result))
      expect(results).toEqual([
        { exitCode: code, output, isCut: false },
        { exitCode: code, output, isCut: false },
      ])
    }),
  )
})

test('nothing is sent before the guest serves', () => {
  const sent: Uint8Array[] = []
  const channel = new ExecChannel(
    MARK,
    (bytes) => sent.push(bytes),
    () => {},
  )
  channel.run('x', () => {})
  expect(sent).toEqual([])
})

test('a guest that says anything breaks nothing, and fills no memory', () => {
  const words = [`\0${MARK} ready\n`, `\0${MARK} ok\n`, `\0${MARK} exit 3\n`, '\0', MARK, '\n', 'x']
  assert(
    property(array(integer({ min: 0, max: words.length - 1 }), { maxLength: 60 }), (choice) => {
      const results: ExecResult[] = []
      const channel = new ExecChannel(
        MARK,
        () => {},
        () => {},
        16,
      )
      channel.run('a', (result) => results.push(result))
      for (const index of choice) {
        for (const byte of new TextEncoder().encode(words[index])) channel.receive(byte)
      }
      return results.length <= 1 && results.every(({ output }) => output.length <= 16)
    }),
  )
})

test('what is above the bound is cut, and said to be', () => {
  const results: ExecResult[] = []
  const channel = new ExecChannel(
    MARK,
    () => {},
    () => {},
    4,
  )
  channel.run('a', (result) => results.push(result))
  const said = `\0${MARK} ready\n\0${MARK} ok\nabcdefg\0${MARK} exit 1\n`
  for (const byte of new TextEncoder().encode(said)) channel.receive(byte)
  expect(results).toEqual([{ exitCode: 1, output: new TextEncoder().encode('abcd'), isCut: true }])
})

test('what the guest serves is what a shell understands, whatever digits its mark has', () => {
  for (const mark of ['0123', 'k7Qx', '777a']) {
    const folder = mkdtempSync(join(tmpdir(), 'guestyard-serve-'))
    try {
      const server = execServer(mark).replaceAll('/run/', `${folder}/`)
      const script = Buffer.from('echo hello; exit 3').toString('base64')
      const said = execFileSync('sh', ['-c', server], { input: `put ${script}\nrun\n` })
      expect(said.toString()).toBe(`\0${mark} ready\n\0${mark} ok\nhello\n\0${mark} exit 3\n`)
    } finally {
      rmSync(folder, { recursive: true })
    }
  }
})
