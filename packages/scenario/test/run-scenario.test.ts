import { describe, expect, test } from 'vitest'

import { defineScenario, exitCodeOf, planScenario, runScenario, textReport } from '../src/index.ts'
import type { RunReport, ScenarioContext } from '../src/index.ts'
import { fakeWorld } from './fake-host.ts'
import type { FakeWorld } from './fake-host.ts'

type Context = ScenarioContext<'db' | 'web'>

function run(
  world: FakeWorld,
  body: (context: Context) => Promise<void> | void,
  signal?: AbortSignal,
): Promise<RunReport> {
  const plan = planScenario(
    defineScenario({
      host: { logicalProcessors: 2 },
      vms: { db: { memory: '64 MiB', weight: 50 }, web: { memory: '2 MiB' } },
      run: body,
    }),
  )
  return runScenario(plan, {
    startHost: world.startHost,
    ...(signal === undefined ? {} : { signal }),
  })
}

describe('a run', () => {
  test('starts the host and every machine, calls run, and closes everything', async () => {
    const world = fakeWorld()
    const report = await run(world, async ({ vms, log, expect: check }) => {
      await vms.all.started()
      log([...vms.all].map((vm) => `${vm.name} is ${vm.state}`).join(', '))
      check(await vms.db.call('count', 5)).toEqual(['count', 5])
    })
    expect(world.events).toEqual([
      'host up (2)',
      'db starts',
      'web starts',
      'db stops',
      'web stops',
      'host closed',
    ])
    expect(report).toMatchObject({ outcome: 'passed', error: null })
    expect(report.log.map((line) => line.text)).toEqual(['db is running, web is running'])
    expect(report.vms.map((vm) => [vm.name, vm.memoryBytes, vm.state])).toEqual([
      ['db', 2 ** 26, 'running'],
      ['web', 2 ** 21, 'running'],
    ])
    expect(exitCodeOf(report)).toBe(0)
  })

  test('fails by a check, and still goes on to its end', async () => {
    let reached = false
    const report = await run(fakeWorld(), ({ expect: check }) => {
      check(1, 'one').toBeGreaterThan(2)
      reached = true
    })
    expect(reached).toBe(true)
    expect(report).toMatchObject({ outcome: 'failed', error: null })
    expect(exitCodeOf(report)).toBe(1)
  })

  test('fails by what run throws, after closing everything', async () => {
    const world = fakeWorld()
    const report = await run(world, () => {
      throw new Error('no rows')
    })
    expect(report).toMatchObject({ outcome: 'failed', error: { message: 'no rows' } })
    expect(world.events.at(-1)).toBe('host closed')
  })

  test('says what kind of error ended it, and where in the scenario file', async () => {
    const plan = planScenario(
      defineScenario({
        vms: { db: { memory: '64 MiB' } },
        run() {
          throw new TypeError('my own mistake')
        },
      }),
      { where: 'run-scenario.test.ts', fileUrl: import.meta.url },
    )
    const report = await runScenario(plan, { startHost: fakeWorld().startHost })
    expect(report.error).toMatchObject({ name: 'TypeError', message: 'my own mistake' })
    expect(report.error?.stack).toContain('    at ')
    expect(textReport(report)).toMatch(
      /^TypeError: my own mistake \(run-scenario\.test\.ts:\d+\)$/m,
    )
  })

  test('keeps the loads it ran, with the spec that the guests got', async () => {
    const world = fakeWorld()
    const report = await run(world, async ({ vms, load, expect: check }) => {
      const measured = await load.channel(vms.web, { payload: 64, duration: '5 s', repeats: 1 })
      check(measured.packetsPerSecond).toBeGreaterThan(1e5)
      await load.sweep(vms.all.list, { payloads: [64, 128], repeats: 2, direction: 'echo' })
    })
    expect(report.outcome).toBe('passed')
    expect(report.loads.map((of) => [of.settings.payloadBytes, of.vms.length])).toEqual([
      [64, 1],
      [64, 2],
      [128, 2],
    ])
    expect(report.loads[1]?.latency?.count).toBe(4000)
    expect(world.specs).toHaveLength(1 + 8)
    expect(world.specs[0]?.measure).toEqual({ kind: 'duration', durationMs: 5000 })
  })
})

describe('a machine that fails', () => {
  test('makes the run fail when the scenario never looked', async () => {
    const world = fakeWorld({ web: { startFails: 'no memory' } })
    const report = await run(world, () => undefined)
    expect(report).toMatchObject({
      outcome: 'failed',
      error: { message: 'vms.web start-failed: no memory' },
    })
  })

  test('rejects whoever awaits its start', async () => {
    const world = fakeWorld({ web: { startFails: 'no memory' } })
    const report = await run(world, ({ vms }) => vms.all.started().then(() => undefined))
    expect(report.error?.message).toBe('VM "web" did not start: no memory')
    expect(world.events.at(-1)).toBe('host closed')
  })

  test('does not make the run fail when the scenario expected it', async () => {
    const world = fakeWorld()
    const report = await run(world, async ({ vms, expect: check }) => {
      await vms.all.started()
      world.end('db', { reason: 'threw', detail: 'Error: on purpose' })
      check((await vms.db.exit).reason).toBe('threw')
    })
    expect(report.outcome).toBe('passed')
    expect(report.vms[0]?.exit).toEqual({ reason: 'threw', detail: 'Error: on purpose' })
  })

  test('is reported by its reason when it dies after it came up', async () => {
    const world = fakeWorld()
    const report = await run(world, async ({ vms }) => {
      await vms.all.started()
      world.end('db', { reason: 'crashed', detail: 'exit code 9\n at x' })
    })
    expect(report.error?.message).toBe('vms.db crashed: exit code 9')
  })
})

describe('an interrupted run', () => {
  test('closes everything though a load never ends, and says 130', async () => {
    const world = fakeWorld({ db: { loadHangs: true } })
    const abort = new AbortController()
    const report = await run(
      world,
      async ({ vms, load }) => {
        await vms.all.started()
        queueMicrotask(() => abort.abort(new Error('interrupted')))
        await load.channel(vms.db)
      },
      abort.signal,
    )
    expect(report.outcome).toBe('interrupted')
    expect(world.events.at(-1)).toBe('host closed')
    expect(exitCodeOf(report)).toBe(130)
  })

  test('closes everything though run itself never ends', async () => {
    const world = fakeWorld()
    const abort = new AbortController()
    const report = await run(
      world,
      () => {
        queueMicrotask(() => abort.abort(new Error('interrupted')))
        return new Promise(() => undefined)
      },
      abort.signal,
    )
    expect(report.outcome).toBe('interrupted')
    expect(world.events.at(-1)).toBe('host closed')
  })

  test('that was over before it began starts nothing', async () => {
    const world = fakeWorld()
    const report = await run(world, () => undefined, AbortSignal.abort(new Error('interrupted')))
    expect(report.outcome).toBe('interrupted')
    expect(world.events).toEqual([])
  })
})
