// The integration services of a running VM, as its owner meets them.

import { afterAll, beforeAll, expect, test } from 'vitest'

import { startHost, type Host } from '../src/index.ts'

const MIB = 1024 * 1024
/** More than any two threads' clocks of one process are apart, and than a call takes. */
const CLOCK_SLACK_MS = 2_000
/** On a machine that is busy with other things. */
const PATIENCE = { timeout: 10_000 }

let host: Host

beforeAll(async () => {
  host = await startHost({ log: { level: 'silent' } })
})

afterAll(() => host.close())

async function devices(): Promise<Readonly<Record<string, unknown>>> {
  const { partitions } = await host.inspect()
  return partitions[0]!.devices
}

test('a guest shows signs of life, knows the host’s time, and shuts down by its shutdown service', async () => {
  const program = new URL('./guests/lingers.ts', import.meta.url)
  const vm = host.createVm({ name: 'lingers', memoryBytes: 4 * MIB, program })
  await vm.start()
  // The first of each is asked for as soon as the channel is open.
  await expect.poll(() => vm.heartbeat(), PATIENCE).toBe('ok')
  await expect.poll(() => vm.call('hostTimeMs'), PATIENCE).not.toBeNull()
  const apartMs = Math.abs(((await vm.call('hostTimeMs')) as number) - Date.now())
  expect(apartMs).toBeLessThan(CLOCK_SLACK_MS)
  expect(await devices()).toMatchObject({
    heartbeat: { status: 'ok', applications: 'healthy', version: '3.0' },
    timeSync: { version: '4.0', syncs: 1, refused: 0 },
    shutdown: { version: '3.2', asked: 0 },
  })

  const stopped = vm.stop(20_000)
  await expect.poll(devices, PATIENCE).toMatchObject({ shutdown: { asked: 1, accepted: 1 } })
  expect(vm.state).toBe('stopping')
  await vm.call('end')
  await stopped
  expect(vm.lastExit).toEqual({ reason: 'stopped', detail: 'shut down on request' })
  await expect(vm.heartbeat()).rejects.toThrow('VM "lingers" is off')
})
