// However a machine ends in the middle of its requests, its image is whole and free, and its neighbours work on.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { startHost, type DiskOptions, type Host, type Vm } from '@guestyard/management'

const MIB = 2 ** 20
const SERVER = new URL('guests/disk-server.ts', import.meta.url)

let host: Host
const folder = mkdtempSync(join(tmpdir(), 'guestyard-ends-'))
const image = join(folder, 'shared.img')
const disk: DiskOptions = { file: image, format: 'raw' }

beforeAll(async () => {
  writeFileSync(image, new Uint8Array(MIB))
  host = await startHost({ log: { level: 'silent' } })
})
afterAll(async () => {
  await host.close()
  rmSync(folder, { recursive: true, force: true })
})

function machine(name: string, disks: readonly DiskOptions[]): Vm {
  return host.createVm({ name, memoryBytes: 8 * MIB, program: SERVER, disks })
}

/** Its guest reads and writes without end, several requests at a time. */
async function atWork(vm: Vm): Promise<void> {
  await vm.start()
  vm.call('churn', { disk: 0 }).catch(() => {})
  while ((await vm.takeReports()).length === 0);
}

test(
  'machines that are turned off, crash or leave in mid-request are followed at once by others with their image',
  { timeout: 60_000 },
  async () => {
    const neighbour = machine('neighbour', [{ memoryBytes: MIB }])
    await atWork(neighbour)
    const ends: readonly (readonly [string, (vm: Vm) => Promise<unknown>])[] = [
      ['turned off', (vm) => vm.turnOff()],
      ['crashed', (vm) => vm.call('crash').catch(() => vm.exit)],
      ['left', (vm) => vm.call('leave').catch(() => vm.exit)],
      ['stopped', (vm) => vm.stop()],
    ]
    for (const [how, end] of ends) {
      const vm = machine(how, [disk])
      await atWork(vm)
      await end(vm)
      await vm.exit
    }
    const last = machine('last', [disk])
    await last.start()
    expect(await last.call('read', { disk: 0, block: 2047 })).toHaveLength(512)
    await last.stop()
    const { partitions } = await host.inspect()
    expect(partitions.map(({ name }) => name)).toEqual(['neighbour'])
    // Its own requests went on all the time.
    expect(partitions[0]!.scsiControllers[0]!.disks[0]!.counters!.writes).toBeGreaterThan(100)
    await neighbour.turnOff()
  },
)

test('a host that is closed leaves nothing open', async () => {
  const other = await startHost({ log: { level: 'silent' } })
  const vm = other.createVm({ name: 'a', memoryBytes: 8 * MIB, program: SERVER, disks: [disk] })
  await atWork(vm)
  await other.close()
  const after = machine('after', [disk])
  await after.start()
  await after.stop()
})
