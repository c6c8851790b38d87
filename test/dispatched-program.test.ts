// A script guest's program on a thread of its own: what the runtime begins of it waits for the VP's turn.

import { expect, test } from 'vitest'
import { setImmediate } from 'node:timers/promises'
import { GuestRuntime, type GuestKernel, type GuestProgram } from '@guestyard/child-partition'
import { GuestMemory } from '@guestyard/guestmem'

import { partition, yard } from './one-thread.ts'

const silentLog = { warn() {}, debug() {}, info() {}, error() {} } as never

/** A guest whose kernel polls when the test says so, and never by itself. */
function handDriven(program: GuestProgram) {
  const on = yard()
  const start = partition(on)
  const found: { kernel: GuestKernel | null } = { kernel: null }
  const runtime = new GuestRuntime(
    {
      name: 'a',
      partitionId: start.partitionId,
      memory: GuestMemory.attach(start.memory),
      handles: start.vps[0]!.handles,
      program: 'program',
      args: null,
      placement: 'contiguous',
    },
    {
      log: silentLog,
      clock: on.clock,
      wakeRoot: { ring() {} },
      meters: { nowNs: () => 0, sinceStartMs: () => 0, cpu: () => null, heapUsed: () => null },
      trace: null,
      callsAnyTime: true,
      createEngine(kernel) {
        found.kernel = kernel
        return { start() {}, wake() {}, until: () => Promise.resolve(), inspect: () => null }
      },
      loadProgram: () => Promise.resolve(program),
    },
  )
  const poll = async (turns: number): Promise<void> => {
    for (let turn = 0; turn < turns; turn += 1) {
      on.root.poll(64)
      found.kernel!.poll(64)
      await setImmediate()
    }
  }
  return { runtime, poll }
}

test('a program begins, and is called, in a turn of its VP and not before', async () => {
  const seen: string[] = []
  const { runtime, poll } = handDriven({
    async main(guest) {
      seen.push('main')
      guest.expose({ ask: () => seen.push('asked') })
      guest.signal.addEventListener('abort', () => seen.push('aborted'))
      await new Promise<void>(() => {})
    },
  })
  while ((await Promise.race([runtime.booted(), poll(1)])) === undefined);
  void runtime.runProgram()
  await setImmediate()
  expect(seen).toEqual([])
  await poll(2)
  expect(seen).toEqual(['main'])

  const call = runtime.call('ask', null)
  await setImmediate()
  expect(seen).toEqual(['main'])
  await poll(2)
  await call
  expect(seen).toEqual(['main', 'asked'])

  void runtime.shutDown()
  await setImmediate()
  expect(seen).toEqual(['main', 'asked'])
  await poll(2)
  expect(seen).toEqual(['main', 'asked', 'aborted'])
})

test('a program that is ordered to shut down before its turn comes never begins', async () => {
  let hasBegun = false
  const { runtime, poll } = handDriven({
    async main() {
      hasBegun = true
      await new Promise<void>(() => {})
    },
  })
  while ((await Promise.race([runtime.booted(), poll(1)])) === undefined);
  void runtime.runProgram()
  const down = runtime.shutDown()
  while ((await Promise.race([down.then(() => 'down'), poll(1)])) !== 'down');
  expect(hasBegun).toBe(false)
})

test('a guest that is asked twice shuts down once, and both are told', async () => {
  let aborts = 0
  const { runtime, poll } = handDriven({
    async main(guest) {
      await new Promise<void>((resolve) => {
        guest.signal.addEventListener('abort', () => {
          aborts += 1
          resolve()
        })
      })
    },
  })
  while ((await Promise.race([runtime.booted(), poll(1)])) === undefined);
  void runtime.runProgram()
  await poll(2)
  const down = runtime.shutDown()
  while ((await Promise.race([down.then(() => 'down'), poll(1)])) !== 'down');
  const again = runtime.shutDown()
  expect(await Promise.race([again, setImmediate('up')])).toBe(undefined)
  expect(aborts).toBe(1)
})
