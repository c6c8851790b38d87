// The terminal's side of a Linux guest's console, over a machine that only takes notes.

import { PassThrough } from 'node:stream'

import { expect, test } from 'vitest'

import { LinuxConsole } from '../src/linux-console.ts'
import type { ConsoleMachine } from '../src/linux-console.ts'

const CTRL_BRACKET = '\u001D'

function open(isTTY: boolean): {
  readonly console: LinuxConsole
  readonly input: PassThrough
  readonly said: string[]
  readonly end: () => void
} {
  const said: string[] = []
  const end = Promise.withResolvers<void>()
  const vm: ConsoleMachine = {
    exit: end.promise,
    exec: () => Promise.resolve(),
    readConsole: () => end.promise.then(() => null),
    turnOff: () => (said.push('turned off'), end.resolve(), Promise.resolve()),
    writeConsole: (bytes) => (said.push(String.fromCodePoint(...bytes)), Promise.resolve()),
  }
  const input = Object.assign(new PassThrough(), {
    isTTY,
    setRawMode: (isRaw: boolean) => said.push(isRaw ? 'raw' : 'cooked'),
  })
  return { console: new LinuxConsole(vm, input, new PassThrough()), input, said, end: end.resolve }
}

test('Ctrl-] ends a machine that still boots, and nothing else is heard until it is up', () => {
  const { console, input, said } = open(true)
  console.open()
  input.write('ls\n')
  input.read()
  expect([console.isLeft, said]).toEqual([false, ['raw']])
  input.write(CTRL_BRACKET)
  input.read()
  console.dispose()
  expect([console.isLeft, said]).toEqual([true, ['raw', 'turned off', 'cooked']])
})

test('what is piped waits until the machine is up, Ctrl-] and all', async () => {
  const { console, input, said, end } = open(false)
  input.write(`ls${CTRL_BRACKET}`)
  console.open()
  expect(said).toEqual([])
  const over = console.run()
  await new Promise((resolve) => setImmediate(resolve))
  expect([console.isLeft, said]).toEqual([false, ['\n', `ls${CTRL_BRACKET}`]])
  end()
  await over
  console.dispose()
})
