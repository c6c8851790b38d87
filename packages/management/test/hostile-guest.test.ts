// What a guest's thread can do to its worker process and to the main thread by way of the ports it was handed.

import { readFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GUEST_LOG_LINES_PER_SECOND } from '@guestyard/child-partition/worker-protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { startHost, type Host, type Vm } from '../src/index.ts'

const MIB = 1024 * 1024
const HOSTILE = new URL('./guests/hostile.ts', import.meta.url)
const KEEPS = new URL('./guests/keeps-processor.ts', import.meta.url)
const STAYS = new URL('./guests/stays.ts', import.meta.url)

describe('a hostile guest', () => {
  let host: Host
  let neighbour: Vm
  let folder: string

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'guestyard-test-'))
    host = await startHost({ log: { level: 'error', destination: join(folder, 'log') } })
    neighbour = host.createVm({ name: 'neighbour', memoryBytes: 4 * MIB, program: STAYS })
    await neighbour.start()
  })

  afterAll(async () => {
    await host.close()
    rmSync(folder, { recursive: true })
  })

  async function started(deed: string): Promise<Vm> {
    const vm = host.createVm({
      name: deed,
      memoryBytes: 4 * MIB,
      program: HOSTILE,
      args: deed,
    })
    await vm.start()
    return vm
  }

  test.each(['log-null', 'log-bomb', 'log-port'])(
    'that sends %s in place of a log line harms nobody and can be stopped',
    async (deed) => {
      const vm = await started(deed)
      expect(await neighbour.call('double', 3)).toBe(6)
      await vm.stop()
      expect(vm.lastExit?.reason).toBe('stopped')
    },
  )

  test.each(['log-lines', 'log-junk', 'control', 'parent'])(
    'that posts to flood-%s without an end is ended before its queue grows',
    async (port) => {
      const before = process.memoryUsage.rss()
      const vm = await started(`flood-${port}`)
      const exit = await vm.exit
      expect(exit).toMatchObject({ reason: 'crashed' })
      expect(exit.detail).toMatch(/^the guest flooded its (log|control|parent) port$/)
      expect(process.memoryUsage.rss() - before).toBeLessThan(300 * MIB)
      expect(await neighbour.call('double', 4)).toBe(8)
    },
  )

  test.each(['throw-bomb', 'throw-stack', 'throw-long'])(
    'that ends by %s has thrown, and says so in bounded text',
    async (deed) => {
      const vm = await started(deed)
      const exit = await vm.exit
      expect(exit.reason).toBe('threw')
      expect(typeof exit.detail).toBe('string')
      expect(exit.detail.length).toBeLessThan(5_000)
    },
  )

  test('that answers with a proxy is not heard: only plain data leaves its worker process', async () => {
    const vm = await started('answer-proxy')
    const reports = vm.takeReports().then(
      (value) => value,
      () => 'ended',
    )
    const first = await Promise.race([reports, neighbour.call('double', 1)])
    expect(typeof first).not.toBe('function')
    await vm.turnOff()
    expect(['ended', []]).toContainEqual(await reports)
  })
})

describe('a guest that floods the log', () => {
  test('gets its allowance of each second and no more, under its own name', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'guestyard-test-'))
    const file = join(folder, 'log')
    const host = await startHost({ log: { level: 'error', destination: file } })
    const vm = host.createVm({
      name: 'log-flood',
      memoryBytes: 4 * MIB,
      program: HOSTILE,
      args: 'log-flood',
    })
    const neighbour = host.createVm({ name: 'neighbour', memoryBytes: 4 * MIB, program: STAYS })
    await neighbour.start()
    await vm.start()
    // Its program may not have run yet: then there is nothing to ask, and it is asked again. A VM that has ended refuses at once and for ever.
    while ((await vm.call('hasFlooded', null).catch(() => false)) !== true) {
      expect(vm.lastExit).toBeNull()
    }
    await vm.stop()
    expect(vm.lastExit?.reason).toBe('stopped')
    expect(await neighbour.call('double', 5)).toBe(10)
    await host.close()
    const lines = readFileSync(file, 'utf8').trim().split('\n')
    const from = lines.filter((line) => line.includes('"vm":"log-flood"'))
    const seconds = new Set(from.map((line) => Math.floor(JSON.parse(line).time / 1000)))
    expect(from.length).toBeGreaterThan(0)
    // A line is admitted before it is stamped, so a second's stamps may be on the lines of the one before as well.
    expect(from.length).toBeLessThanOrEqual(seconds.size * 2 * GUEST_LOG_LINES_PER_SECOND)
    rmSync(folder, { recursive: true })
  })
})

describe('a VM that waits for its turn to boot', () => {
  test('boots when the one before it is up, and one that is stopped meanwhile is off', async () => {
    const host = await startHost({ log: { level: 'silent' }, bootsAtOnce: 1 })
    const [first, second, third] = ['first', 'second', 'third'].map((name) =>
      host.createVm({ name, memoryBytes: 4 * MIB }),
    ) as [Vm, Vm, Vm]
    const starts = [first.start(), third.start()]
    const calledOff = second.start().then(
      () => 'started',
      (error: unknown) => String(error),
    )
    await second.stop()
    expect(await calledOff).toContain('stopped before it booted')
    expect(second.state).toBe('off')
    await Promise.all(starts)
    await second.start()
    expect([first, second, third].map((vm) => vm.state)).toEqual(['running', 'running', 'running'])
    await host.close()
  })
})

describe('a VM that is asked twice', () => {
  test('starts once: the second start is refused while the first is under way', async () => {
    const host = await startHost({ log: { level: 'silent' } })
    const vm = host.createVm({ name: 'one', memoryBytes: 4 * MIB })
    const first = vm.start()
    await expect(vm.start()).rejects.toThrow('already starting')
    await first
    await vm.stop()
    await expect.poll(async () => (await host.inspect()).partitions).toEqual([])
    await host.close()
  })

  test('or whose host closes right after the start, ends: no promise is left open', async () => {
    const host = await startHost({ log: { level: 'silent' } })
    const vm = host.createVm({ name: 'one', memoryBytes: 4 * MIB })
    const started = vm.start().then(
      () => 'started',
      () => 'refused',
    )
    await host.close()
    expect(['started', 'refused']).toContain(await started)
    expect(vm.state).toBe('off')
  })
})

test('a guest that gives its processor back to nobody, and answers all the same, is ended; the neighbour that waited goes on', async () => {
  const host = await startHost({
    log: { level: 'silent' },
    scheduler: 'classic',
    logicalProcessors: 1,
  })
  try {
    const neighbour = host.createVm({ name: 'neighbour', memoryBytes: 4 * MIB, program: STAYS })
    await neighbour.start()
    const vm = host.createVm({
      name: 'keeps',
      memoryBytes: 4 * MIB,
      program: KEEPS,
      notRespondingMs: 500,
    })
    await vm.start()
    // Only while somebody waits does a processor have to be given back.
    const wanting = (async () => {
      while (vm.state === 'running') await neighbour.call('compute', 1_000)
    })()
    const exit = await vm.exit
    expect(exit.reason).toBe('not-responding')
    await wanting
    expect(await neighbour.call('double', 21)).toBe(42)
    expect(neighbour.lastExit).toBe(null)
  } finally {
    await host.close()
  }
})
