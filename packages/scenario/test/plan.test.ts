import { describe, expect, test } from 'vitest'

import { defineScenario, InputError, planScenario } from '../src/index.ts'
import type { Scenario } from '../src/index.ts'

const run = (): void => undefined
const vms = { db: { memory: '64 MiB' } }

function refusal(scenario: unknown): string {
  try {
    planScenario(scenario as Scenario, { where: 'x.ts' })
  } catch (error) {
    expect(error).toBeInstanceOf(InputError)
    return (error as Error).message
  }
  throw new Error('the scenario was taken')
}

describe('what a scenario may not say is refused with the field and the reason', () => {
  const none = new URL('none.ts', `file://${process.cwd()}/`).pathname
  const cases: readonly (readonly [unknown, string])[] = [
    [{ run }, 'x.ts: vms: is missing'],
    [{ vms }, 'x.ts: run: is missing'],
    [{ vms, run: 'later' }, "x.ts: run: expected a function, got 'later'"],
    [{ vms: [], run }, 'x.ts: vms: expected at least one virtual machine'],
    [{ vms: {}, run }, 'x.ts: vms: expected at least one virtual machine'],
    [{ vms: 5, run }, 'x.ts: vms: expected an object of virtual machines'],
    [
      { vms: { db: 5 }, run },
      'x.ts: vms.db: expected an object with memory, guest, linux, args, weight, cap, reserve, relay, placement, disks, dvd, nics',
    ],
    [{ vms: { db: {} }, run }, 'x.ts: vms.db.memory: is missing'],
    [
      { vms: { db: { memory: 2 ** 21, cap: '120 %' } }, run },
      "x.ts: vms.db.cap: expected a share such as '25 %' or a number from 0 to 1, got '120 %'",
    ],
    [
      { vms: { db: { memory: 2 ** 21, relay: true } }, run },
      'x.ts: vms.db.relay: expected a group, 1 to 64 characters, or false, got true',
    ],
    [{ vms: { db: { memory: 2 ** 21, cap: 0 } }, run }, 'x.ts: vms.db.cap: 0 is too small'],
    [
      { vms: { db: { memory: 2 ** 21, cap: 0.25, reserve: '30 %' } }, run },
      'x.ts: vms.db.reserve: is more than the cap',
    ],
    [
      {
        host: { scheduler: 'classic', logicalProcessors: 1 },
        vms: { a: { memory: 2 ** 21, reserve: '60 %' }, b: { memory: 2 ** 21, reserve: 0.5 } },
        run,
      },
      'x.ts: vms: their reserves are 110 % together, more than the 100 % of 1 logical processors',
    ],
    [
      {
        host: { scheduler: 'core', logicalProcessors: 4, threadsPerCore: 2 },
        vms: Object.fromEntries(
          ['a', 'b', 'c'].map((name) => [name, { memory: 2 ** 21, reserve: 0.7 }]),
        ),
        run,
      },
      'x.ts: vms: their reserves are 210 % together, more than the 200 % of 2 cores',
    ],
    [
      { host: { scheduler: 'fair' }, vms, run },
      "x.ts: host.scheduler: expected 'classic', 'core' or 'root', got 'fair'",
    ],
    [{ host: { slice: '1 s' }, vms, run }, "x.ts: host.slice: '1 s' is not from 100 us to 100 ms"],
    [
      { host: { logicalProcessors: 3, threadsPerCore: 2 }, vms, run },
      'x.ts: host.threadsPerCore: 3 logical processors are no whole cores of 2',
    ],
    [
      { vms: { db: { memory: '64MB' } }, run },
      "x.ts: vms.db.memory: '64MB' is not a size: write a number and B, KiB, MiB, GiB or TiB, such as '64 MiB'",
    ],
    [
      { vms: { db: { memory: '1 MiB' } }, run },
      "x.ts: vms.db.memory: '1 MiB' is too small: at least 2 MiB",
    ],
    [
      { vms: { db: { memory: '4 GiB' } }, run },
      "x.ts: vms.db.memory: '4 GiB' is too large: at most 4 GiB less 64 KiB",
    ],
    [
      { vms: { db: { memory: 2 ** 21 + 4096 } }, run },
      'x.ts: vms.db.memory: 2101248 is not a multiple of 64 KiB',
    ],
    [
      { vms: { db: { memory: { startup: '64 MiB' } } }, run },
      "x.ts: vms.db.memory: maximum: expected a size such as '64 MiB', got undefined",
    ],
    [
      { vms: { db: { memory: { startup: '1 MiB', maximum: '64 MiB' } } }, run },
      "x.ts: vms.db.memory: startup: '1 MiB' is too small: at least 2 MiB",
    ],
    [
      { vms: { db: { memory: { startup: '64 MiB', maximum: '32 MiB' } } }, run },
      "x.ts: vms.db.memory: maximum: '32 MiB' is less than startup",
    ],
    [
      { vms: { db: { memory: { startup: 2 ** 21, maximum: 2 ** 22, buffer: 20 } } }, run },
      'x.ts: vms.db.memory: unknown field buffer (known: startup, maximum)',
    ],
    [
      { vms: { db: { memory: '64 MiB', usb: [] } }, run },
      'x.ts: vms.db.usb: unknown field (known: memory, guest, linux, args, weight, cap, reserve, relay, placement, disks, dvd, nics)',
    ],
    [
      { vms: { db: { memory: '64 MiB', nics: [{ switch: 'lan' }, {}] } }, run },
      'x.ts: vms.db.nics.1.switch: is missing',
    ],
    [
      { vms: { db: { memory: '64 MiB', nics: [{ switch: 'lan', speed: 1 }] } }, run },
      'x.ts: vms.db.nics.0.speed: unknown field (known: switch, address, mtu, vlan, macSpoofing, dhcpGuard, routerGuard, maxBitsPerSecond, weight, linkMbps)',
    ],
    [
      { vms: { db: { memory: '64 MiB', nics: [{ switch: 'lan', weight: 101 }] } }, run },
      'x.ts: vms.db.nics.0.weight: expected a whole number from 1 to 100, got 101',
    ],
    [
      { vms: { db: { memory: '64 MiB', nics: [{ switch: 'lan', linkMbps: 0 }] } }, run },
      'x.ts: vms.db.nics.0.linkMbps: expected a whole number from 1 to 400000, got 0',
    ],
    [
      { vms: { db: { memory: '64 MiB', nics: [{ switch: 'lan', vlan: 4095 }] } }, run },
      'x.ts: vms.db.nics.0.vlan: expected a whole number from 1 to 4094, got 4095',
    ],
    [
      { vms: { db: { memory: '64 MiB', nics: [{ switch: 'lan', address: '00:15' }] } }, run },
      "x.ts: vms.db.nics.0.address: expected an Ethernet address, got '00:15'",
    ],
    [
      { vms: { db: { memory: '64 MiB', weight: 0 } }, run },
      'x.ts: vms.db.weight: expected a weight, a whole number from 1 to 10000, got 0',
    ],
    [
      { vms: { db: { memory: '64 MiB', guest: 5 } }, run },
      'x.ts: vms.db.guest: expected the path of a guest program, got 5',
    ],
    [
      { vms: { db: { memory: '64 MiB', guest: './none.ts' } }, run },
      `x.ts: vms.db.guest: no file ${none}`,
    ],
    [
      { vms: { db: { memory: '64 MiB', guest: new URL('http://h/x.ts') } }, run },
      'x.ts: vms.db.guest: expected a file, got http:',
    ],
    [
      { vms: { db: { memory: '64 MiB', args: { id: Symbol('x') } } }, run },
      'x.ts: vms.db.args: is not plain data: Symbol(x) could not be cloned.',
    ],
    [
      { vms: { 'd b': { memory: '64 MiB' } }, run },
      "x.ts: vms.'d b': a name is a letter, then letters, digits, - or _, at most 63 in all",
    ],
    [
      { vms: { all: { memory: '64 MiB' } }, run },
      "x.ts: vms.all: the name 'all' stands for every machine",
    ],
    [
      { vms, run, host: { logicalProcessors: 1.5 } },
      'x.ts: host.logicalProcessors: expected a count, a whole number from 1 to 64, got 1.5',
    ],
    [
      { vms, run, host: { cpus: 2 } },
      'x.ts: host.cpus: unknown field (known: logicalProcessors, scheduler, threadsPerCore, slice, memory)',
    ],
    [
      { vms, run, host: { memory: '1 MiB' } },
      "x.ts: host.memory: '1 MiB' is not from 16 MiB to 1 TiB",
    ],
    [
      { vms, run, networks: {} },
      'x.ts: networks: unknown field (known: name, host, switches, vms, run)',
    ],
    [{ vms, run, switches: 'lan' }, "x.ts: switches: expected an object of switches, got 'lan'"],
    [
      { vms, run, switches: { lan: { uplink: { kind: 'bridge' } } } },
      "x.ts: switches.lan.uplink.kind: expected 'nat', 'services', 'tunnel' or 'player'",
    ],
    [
      { vms, run, switches: { lan: { mtu: 9000 } } },
      'x.ts: switches.lan.mtu: unknown field (known: uplink, managementOS, capacityBitsPerSecond, capture)',
    ],
    [
      { vms, run, switches: { lan: { managementOS: { name: 'x' } } } },
      'x.ts: switches.lan.managementOS.address: is missing, such as 10.0.0.1/24',
    ],
    [
      { vms, run, switches: { lan: { managementOS: { address: 7 } } } },
      'x.ts: switches.lan.managementOS.address: expected text',
    ],
    [
      { vms, run, switches: { lan: { managementOS: { mac: 'x' } } } },
      'x.ts: switches.lan.managementOS.mac: unknown field (known: address, name)',
    ],
    [{ vms, run, name: '' }, 'x.ts: name: expected text that is not empty'],
  ]
  for (const [scenario, line] of cases) {
    test(line, () => {
      expect(refusal(scenario)).toBe(line)
    })
  }
})

test('a whole scenario becomes a plan with every default filled in', () => {
  const guest = new URL('fake-host.ts', import.meta.url)
  const plan = planScenario(
    defineScenario({
      host: { logicalProcessors: 2, memory: '4 GiB' },
      vms: {
        db: { memory: '64 MiB', guest, args: { size: 1 } },
        web: { memory: { startup: 2 ** 21, maximum: '4 MiB' }, weight: 200 },
      },
      run,
    }),
  )
  expect(plan).toEqual({
    name: 'scenario',
    fileUrl: undefined,
    logicalProcessors: 2,
    scheduler: 'root',
    threadsPerCore: 1,
    sliceMs: 2,
    hostMemoryBytes: 2 ** 32,
    switches: {},
    vms: [
      {
        name: 'db',
        memoryBytes: 2 ** 26,
        memoryMaximumBytes: 2 ** 26,
        program: guest,
        linux: null,
        args: { size: 1 },
        weight: 100,
        cap: 1,
        reserve: 0,
        relay: 'default',
        placement: 'contiguous',
        disks: [],
        nics: [],
      },
      {
        name: 'web',
        memoryBytes: 2 ** 21,
        memoryMaximumBytes: 2 ** 22,
        program: null,
        linux: null,
        args: undefined,
        weight: 200,
        cap: 1,
        reserve: 0,
        relay: 'default',
        placement: 'contiguous',
        disks: [],
        nics: [],
      },
    ],
    run,
  })
})

test('a guest program is looked for beside the scenario file, and the file names the scenario', () => {
  const plan = planScenario(
    { vms: { db: { memory: '64 MiB', guest: './fake-host.ts' } }, run },
    { fileUrl: import.meta.url },
  )
  expect(plan.name).toBe('plan.test')
  expect(plan.vms[0]?.program?.href).toBe(new URL('fake-host.ts', import.meta.url).href)
})

test('a Linux guest is planned with its defaults, and takes no program', () => {
  const vms = { box: { memory: '256 MiB', linux: { append: 'nosmp' } } }
  expect(planScenario({ vms, run }).vms[0]?.linux).toEqual({
    ...{ append: 'nosmp', folder: null, generation: 2 },
  })
  const old = { box: { memory: '256 MiB', linux: { generation: 1 as const } } }
  expect(planScenario({ vms: old, run }).vms[0]?.linux).toMatchObject({ generation: 1 })
  expect(refusal({ vms: { box: { memory: '256 MiB', linux: { generation: 3 } } }, run })).toContain(
    'vms.box.linux.generation: expected 1 or 2',
  )
  expect(refusal({ vms: { box: { ...vms.box, args: 1 } }, run })).toBe(
    'x.ts: vms.box.linux: a Linux guest has neither guest nor args',
  )
  expect(refusal({ vms: { box: { memory: '256 MiB', linux: { kernel: 'x' } } }, run })).toContain(
    'vms.box.linux.kernel: unknown field',
  )
})

test('more machines than a host takes are refused before anything starts', () => {
  const many = Object.fromEntries(
    Array.from({ length: 257 }, (_, index) => [`vm${index}`, { memory: '2 MiB' }]),
  )
  expect(refusal({ vms: many, run })).toBe('x.ts: vms: 257 virtual machines, at most 256')
})
