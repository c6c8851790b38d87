import { Writable } from 'node:stream'

import { InputError, RunHangs } from '@guestyard/scenario'
import { expect, test } from 'vitest'

import { tellError } from '../src/exit-code.ts'
import { Interrupted } from '../src/interrupt.ts'

function told(error: unknown): { code: number; text: string } {
  let text = ''
  const stderr = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString()
      done()
    },
  })
  return { code: tellError(error, stderr), text }
}

test.each([
  [new RunHangs('a.ts took the processor'), 1, 'guestyard: a.ts took the processor\n'],
  [new InputError('--seed', 'is no number'), 2, 'guestyard: --seed: is no number\n'],
  [new Interrupted('interrupted'), 130, 'guestyard: interrupted\n'],
])('%s is told on one line', (error, code, text) => {
  expect(told(error)).toEqual({ code, text })
})

test('what nobody foresaw is told with its stack', () => {
  const { code, text } = told(new TypeError('not a function'))
  expect(code).toBe(1)
  expect(text).toMatch(/^guestyard: TypeError: not a function\n +at /)
})
