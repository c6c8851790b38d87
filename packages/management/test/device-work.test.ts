import { expect, test } from 'vitest'

import type { VpExit } from '@guestyard/root-partition/worker-protocol'

import { EmulatedMachine } from '../src/vmwp/emulated/machine.ts'
import { DeviceWork, serveExits } from '../src/vmwp/emulated/serve-exits.ts'

const EXIT: VpExit = {
  partitionId: 2,
  vp: 0,
  sequence: 1,
  access: { kind: 'port', isWrite: true, port: 0x80, size: 1, low: 1, high: 0 },
}

/** A device that needs so many polls before its line rises. */
function deviceOf(machine: EmulatedMachine, polls: number): { polls: number } {
  const device = {
    polls: 0,
    poll(): boolean {
      device.polls += 1
      if (device.polls === polls) machine.setLine(14, true)
      return device.polls < polls
    },
    nextDeadlineMs: () => Number.POSITIVE_INFINITY,
  }
  machine.addWorking(device)
  return device
}

test('a device goes on with what an access began, and its line is told when it rises', async () => {
  const machine = new EmulatedMachine(() => {})
  const device = deviceOf(machine, 40)
  const told = Promise.withResolvers<unknown>()
  const gone = Promise.withResolvers<readonly VpExit[]>()
  const seen: unknown[] = []
  const root = {
    exchangeExits: (_id: number, lines: unknown, answers: readonly unknown[]) => {
      seen.push([lines, answers.length])
      return seen.length === 1 ? Promise.resolve([EXIT]) : gone.promise
    },
    setLines: (_id: number, lines: unknown) => {
      told.resolve(lines)
      return Promise.resolve()
    },
  }
  const served = serveExits(root, 2, machine, new DeviceWork(root, 2, machine))
  expect(await told.promise).toEqual([{ line: 14, asserted: true }])
  expect(device.polls).toBe(40)
  gone.resolve([])
  await served
  // The first asks, the second answers.
  expect(seen).toEqual([
    [[], 0],
    [[], 1],
  ])
})

test('a line that rises within an access is told before its answer', async () => {
  const machine = new EmulatedMachine(() => {})
  deviceOf(machine, 1)
  const seen: unknown[] = []
  const root = {
    exchangeExits: (_id: number, lines: unknown, answers: readonly unknown[]) => {
      seen.push([lines, answers.length])
      return Promise.resolve(seen.length === 1 ? [EXIT] : [])
    },
    setLines: () => Promise.reject(new Error('not asked for')),
  }
  await serveExits(root, 2, machine, new DeviceWork(root, 2, machine))
  expect(seen).toEqual([
    [[], 0],
    [[{ line: 14, asserted: true }], 1],
  ])
})
