// What is said while a guest is fetched, on a terminal and into a pipe.

import { Writable } from 'node:stream'

import { expect, test } from 'vitest'

import { FetchProgress } from '../src/fetch-progress.ts'

function written(isTTY: boolean): string {
  let text = ''
  const sink = new Writable({
    write(bytes, _encoding, done) {
      text += String(bytes)
      done()
    },
  })
  const stream = Object.assign(sink, { isTTY })
  const progress = new FetchProgress(stream)
  progress.say('asking')
  const file = 'a.deb'
  for (const done of [0, 10, 500_000, 500_001, 1_000_000]) {
    progress.count({ file, done, total: 1_000_000 })
  }
  progress.say('unpacking')
  progress.end()
  return text
}

test('into a pipe each step and each file is one plain line', () => {
  expect(written(false)).toBe(
    'guestyard: asking\nguestyard: downloading a.deb, 1.0 MB\nguestyard: unpacking\n',
  )
})

test('on a terminal one line counts, is written over where it changes, and is gone in the end', () => {
  const erase = '\r\u001B[K'
  expect(written(true)).toBe(
    'guestyard: asking\n' +
      `${erase}guestyard: a.deb: 0.0 of 1.0 MB, 0 %` +
      `${erase}guestyard: a.deb: 0.5 of 1.0 MB, 50 %` +
      `${erase}guestyard: a.deb: 1.0 of 1.0 MB, 100 %` +
      `${erase}guestyard: unpacking\n`,
  )
})
