// A recording of a console session gives back what was written into it, and one line about whatever else it is given.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { InputError, type SessionInput } from '@guestyard/scenario'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'

import { RecordingFile, parseRecording, readRecording } from '../src/linux-recording.ts'

const folder = mkdtempSync(join(tmpdir(), 'guestyard-recording-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const SETTINGS = { seed: 7, memoryBytes: 2 ** 27, append: 'x=1', release: '6.1', files: 'ab' }
const END = { reason: 'exited', turns: 9, virtualMs: 1.5, consoleBytes: 3, console: 'cd' }
const HEAD = JSON.stringify({ guestyard: 'console session', version: 1, ...SETTINGS })

const command = fc.oneof(
  fc.record({ is: fc.constant('keys' as const), bytes: fc.uint8Array({ maxLength: 40 }) }),
  fc.record({ is: fc.constant('exec' as const), script: fc.string({ maxLength: 40 }) }),
  fc.record({ is: fc.constant('leave' as const) }),
)
const inputs = fc.array(fc.tuple(fc.nat(1000), command), { maxLength: 10 }).map((steps) => {
  let turn = 0
  return steps.map(([later, one]): SessionInput => ({ turn: (turn += later), ...one }))
})

test('what was recorded is read back', () => {
  const path = join(folder, 'session')
  fc.assert(
    fc.property(inputs, fc.boolean(), (recorded, hasEnd) => {
      const file = new RecordingFile(path, SETTINGS)
      for (const input of recorded) file.input(input)
      if (hasEnd) file.end(END)
      file.close()
      const expected = { settings: SETTINGS, inputs: recorded, end: hasEnd ? END : null }
      expect(readRecording(path)).toEqual(expected)
    }),
    { numRuns: 50 },
  )
})

test('a line that was cut off is none', () => {
  const text = `${HEAD}\n{"turn":4,"is":"leave"}\n{"turn":5,"is":"le`
  expect(parseRecording(text, 'x').inputs).toEqual([{ turn: 4, is: 'leave' }])
})

test.each([
  ['', 'x: not the recording of a console session'],
  ['{}\n', 'x: not the recording of a console session'],
  ['{"guestyard":"console session","version":2}\n', 'x: version 2 is not 1'],
  ['{"guestyard":"console session","version":1}\n', 'x:1: does not say what ran'],
  [`${HEAD}\n5\n`, 'x:2: not an object in JSON'],
  [`${HEAD}\nkeys\n`, 'x:2: not an object in JSON'],
  [`${HEAD}\n{"turn":-1,"is":"leave"}\n`, 'x:2: not an input of a session'],
  [`${HEAD}\n{"turn":1,"is":"keys"}\n`, 'x:2: not an input of a session'],
  [`${HEAD}\n{"turn":2,"is":"leave"}\n{"turn":1,"is":"leave"}\n`, 'x:3: goes back in time'],
  [`${HEAD}\n{"end":{}}\n`, 'x:2: not the end of a session'],
  [`${HEAD}\n${JSON.stringify({ end: END })}\n{"turn":1,"is":"leave"}\n`, 'x:3: follows the end'],
])('%j is refused', (text, problem) => {
  expect(() => parseRecording(text, 'x')).toThrow(new InputError('--replay', problem))
})

test('whatever the text, it is a recording or refused', () => {
  const line = fc.oneof(fc.json({ maxDepth: 2 }), fc.string({ maxLength: 30 }), fc.constant(HEAD))
  fc.assert(
    fc.property(fc.array(line, { maxLength: 5 }), (lines) => {
      try {
        parseRecording(lines.map((one) => `${one}\n`).join(''), 'x')
      } catch (error) {
        expect(error).toBeInstanceOf(InputError)
      }
    }),
  )
})
