/**
 * What an unmodified Linux costs as a guest: its boot, its idling, and what its own driver gets out of a disk over the bus; beside the processor
 * package as it is, which boots the same kernel with its own devices. Real threads; the guest has to be fetched first.
 */

import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startHost, type Host, type Vm } from '@guestyard/management'
import {
  alignTable,
  createProgress,
  describeEnvironment,
  median,
  readEnvironment,
  type Progress,
} from '@guestyard/scenario'

import { tableStream, writeJson } from './json-file.ts'
import { findDisk, measureDisk, type DiskFigures } from './linux-guest/disk.ts'
import { packedGuest } from './linux-guest/packed-guest.ts'
import { PlainMachine } from './peers/plain-machine/plain-machine.ts'
import { flagError, runScript } from './script-run.ts'

const HELP = `What an unmodified Linux costs as a guest: boot, idling, its disk.

  npx node scripts/linux-guest.ts [options]

  --json FILE   writes every figure with machine, Node, V8 and commit; - is standard output
  --help        this text

Example:
  npx guestyard guest fetch linux && npx node scripts/linux-guest.ts

The plain machine is the processor package with a PC's firmware, no hypervisor, and an IDE disk in its thread's own memory. Boots of both are in turns.
Its kernel unpacks itself at every boot; ours was unpacked when it was fetched. A third row has ours unpack itself too.
Disks over the bus and on the emulated IDE controller are both of one machine of generation 1. Takes four minutes; nothing else should run beside it.
`

const DISK_BYTES = 64 * 2 ** 20
const IDLE_SECONDS = 10
/** After its last script, until it is as idle as it gets. */
const SETTLE_MS = 3_000
const MEMORY_BYTES = 256 * 2 ** 20
const BOOT_ROUNDS = 3
/** Time to serving commands, over that of the plain machine. */
const BOOT_GOAL = 1.15
/** Small requests over the bus, to those of the plain machine's IDE. */
const DISK_GOAL = 3
const IDLE_GOAL = 1
/** What four boots at once may take, over what two take. */
const BOOTS_GOAL = 2.5

interface Figures {
  /** From asking for its thread to the guest serving commands: each boot, the plain machine's in turns. */
  readonly bootsMs: readonly number[]
  readonly plainBootsMs: readonly number[]
  /** The same with a kernel that unpacks itself, as the plain machine's does. */
  readonly packedBootsMs: readonly number[]
  /** Processor time of the first boot. */
  readonly bootCpuMs: number
  /** Share of one core, by the guest's thread alone. */
  readonly idlePercent: number
  /** Through hv_storvsc, and through the emulated IDE controller, from disks in the host's memory; of one machine. */
  readonly disk: DiskFigures
  readonly emulatedDisk: DiskFigures
  /** Through the plain machine's IDE, from its own thread's memory. */
  readonly plainDisk: DiskFigures
  /** From asking for two machines, and for four, until all of them serve commands. */
  readonly bootsOfTwoMs: number
  readonly bootsOfFourMs: number
}

await runScript(
  () => readFlags(process.argv.slice(2)),
  async (json, signal) => {
    const out = tableStream(json.file)
    const progress = createProgress(process.stderr)
    const environment = await readEnvironment()
    out.write(`${describeEnvironment(environment)}\n`)
    try {
      const figures = await measure(signal, progress)
      progress.end()
      out.write(`${report(figures)}\n`)
      if (json.file !== null) {
        const when = new Date().toISOString()
        writeJson(json.file, { script: 'linux-guest', when, environment, figures })
      }
    } finally {
      progress.end()
    }
    return true
  },
)

function readFlags(args: string[]): { readonly file: string | null } | null {
  try {
    const { values } = parseArgs({
      args,
      options: { json: { type: 'string' }, help: { type: 'boolean' } },
    })
    if (values.help) {
      process.stdout.write(HELP)
      return null
    }
    return { file: values.json ?? null }
  } catch (error) {
    throw flagError(error)
  }
}

async function measure(signal: AbortSignal, progress: Progress): Promise<Figures> {
  using asFetched = packedGuest()
  const host = await startHost()
  try {
    const [vm, packed] = ['', asFetched.folder].map((folder) =>
      host.createVm({
        name: folder === '' ? 'linux' : 'packed',
        memoryBytes: MEMORY_BYTES,
        linux: folder === '' ? {} : { folder },
        disks: [{ memoryBytes: DISK_BYTES }],
      }),
    ) as [Vm, Vm]
    for (const each of [vm, packed]) {
      signal.addEventListener('abort', () => void each.turnOff(), { once: true })
    }
    progress.update('booting')
    const first = await startMs(vm)
    const bootCpuMs = await cpuMs(vm)
    progress.update(`idling for ${IDLE_SECONDS} seconds`)
    const idlePercent = await measureIdle(vm)
    await vm.stop()
    const disks = await measureDisks(host, signal, progress)
    const bootsMs = [first]
    const plainBootsMs: number[] = []
    const packedBootsMs: number[] = []
    let plainDisk: DiskFigures | null = null
    for (let round = 0; round < BOOT_ROUNDS; round += 1) {
      progress.update(`round ${round + 1} of ${BOOT_ROUNDS}: the plain machine`)
      const plain = await PlainMachine.boot(
        { memoryBytes: MEMORY_BYTES, diskBytes: DISK_BYTES, network: null },
        signal,
      )
      plainBootsMs.push(plain.bootMs)
      plainDisk ??= await measureDisk((script) => plain.run(script), '/dev/sda')
      await plain.end()
      progress.update(`round ${round + 1} of ${BOOT_ROUNDS}: ours`)
      bootsMs.push(await startMs(vm))
      await vm.stop()
      packedBootsMs.push(await startMs(packed))
      await packed.stop()
    }
    if (plainDisk === null) throw new Error('no round was measured')
    const alone = {
      bootsMs,
      plainBootsMs,
      packedBootsMs,
      bootCpuMs,
      idlePercent,
      ...disks,
      plainDisk,
    }
    return { ...alone, ...(await measureBoots(host, signal, progress)) }
  } finally {
    await host.close()
  }
}

async function measureDisks(
  host: Host,
  signal: AbortSignal,
  progress: Progress,
): Promise<Pick<Figures, 'disk' | 'emulatedDisk'>> {
  progress.update('generation 1 boots')
  const vm = host.createVm({
    ...{ name: 'generation-1', memoryBytes: MEMORY_BYTES, linux: { generation: 1 } },
    disks: [
      { memoryBytes: DISK_BYTES, controllerType: 'ide' },
      { memoryBytes: DISK_BYTES, controllerType: 'scsi' },
    ],
  })
  signal.addEventListener('abort', () => void vm.turnOff(), { once: true })
  await vm.start()
  const run = async (script: string): Promise<string> => {
    const { output } = await vm.exec(script)
    return new TextDecoder().decode(output)
  }
  progress.update('its disk on IDE')
  const emulatedDisk = await measureDisk(run, await findDisk(run, 'ATA'))
  progress.update('its disk over the bus')
  const disk = await measureDisk(run, await findDisk(run, 'Msft'))
  await vm.stop()
  return { disk, emulatedDisk }
}

/** Milliseconds from asking for the machine to its serving commands. */
async function startMs(vm: Vm): Promise<number> {
  const fromMs = performance.now()
  await vm.start()
  return performance.now() - fromMs
}

async function measureBoots(
  host: Host,
  signal: AbortSignal,
  progress: Progress,
): Promise<Pick<Figures, 'bootsOfTwoMs' | 'bootsOfFourMs'>> {
  const together = async (count: number): Promise<number> => {
    progress.update(`booting ${count} at once`)
    signal.throwIfAborted()
    const names = Array.from({ length: count }, (_, index) => `${count}-${index}`)
    const vms = names.map((name) => host.createVm({ name, linux: {} }))
    const fromMs = performance.now()
    await Promise.all(vms.map((vm) => vm.start()))
    const tookMs = performance.now() - fromMs
    await Promise.all(vms.map((vm) => vm.turnOff()))
    return tookMs
  }
  return { bootsOfTwoMs: await together(2), bootsOfFourMs: await together(4) }
}

async function measureIdle(vm: Vm): Promise<number> {
  // The last of its boot is over.
  await vm.exec('sleep 2')
  // It runs nothing at all meanwhile: a script for it is tens of milliseconds of a processor by itself.
  await setTimeout(SETTLE_MS)
  const [fromMs, cpuFromMs] = [performance.now(), await cpuMs(vm)]
  await setTimeout(IDLE_SECONDS * 1000)
  return ((await cpuMs(vm)) - cpuFromMs) / ((performance.now() - fromMs) / 100)
}

async function cpuMs(vm: Vm): Promise<number> {
  const { cpuMicroseconds } = await vm.inspectGuest()
  return cpuMicroseconds / 1000
}

function report(figures: Figures): string {
  const { disk, emulatedDisk, plainDisk } = figures
  const [boot, plainBoot] = [median(figures.bootsMs), median(figures.plainBootsMs)]
  const packedBoot = median(figures.packedBootsMs)
  const four = figures.bootsOfFourMs / figures.bootsOfTwoMs
  const ms = (value: number): string => `${Math.round(value)} ms`
  const perSecond = (value: number): string => `${Math.round(value)} /s`
  const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB/s`
  const times = (ratio: number): string => `${ratio.toFixed(2)}x`
  const atMost = (value: number, goal: number): string =>
    `at most ${goal}: ${value <= goal ? 'held' : 'MISSED'}`
  const atLeast = (value: number, goal: number): string =>
    `at least ${goal}: ${value >= goal ? 'held' : 'MISSED'}`
  const diskRow = (
    what: string,
    field: keyof DiskFigures,
    format: (value: number) => string,
  ): readonly string[] => {
    const ratio = disk[field] / emulatedDisk[field]
    const goal = atLeast(ratio, DISK_GOAL)
    return [
      what,
      ...[disk, emulatedDisk, plainDisk].map((each) => format(each[field])),
      ...[times(ratio), goal],
    ]
  }
  return [
    '',
    ...alignTable(
      ['an unmodified Linux', 'here', 'plain machine', 'ratio', 'goal'],
      [
        [
          'boot, to serving commands',
          ...[ms(boot), ms(plainBoot), times(boot / plainBoot)],
          atMost(boot / plainBoot, BOOT_GOAL),
        ],
        [
          'the same, its kernel unpacking itself',
          ...[ms(packedBoot), ms(plainBoot), times(packedBoot / plainBoot)],
          atMost(packedBoot / plainBoot, BOOT_GOAL),
        ],
        ['processor time of its boot', ms(figures.bootCpuMs), '', '', ''],
        [
          'idle, of one core',
          ...[`${figures.idlePercent.toFixed(2)} %`, '', ''],
          atMost(figures.idlePercent, IDLE_GOAL),
        ],
        ['two boots at once', ms(figures.bootsOfTwoMs), '', '', ''],
        [
          'four boots at once',
          ...[ms(figures.bootsOfFourMs), '', `${times(four)} of two`],
          atMost(four, BOOTS_GOAL),
        ],
      ],
    ),
    '',
    ...alignTable(
      ['one request at a time', 'bus', 'emulated IDE', 'plain machine’s IDE', 'bus / IDE', 'goal'],
      [
        diskRow('4 KiB reads', 'reads4KiBPerSecond', perSecond),
        diskRow('4 KiB writes', 'writes4KiBPerSecond', perSecond),
        diskRow('256 KiB reads', 'reads256KiBBytesPerSecond', mib),
        diskRow('256 KiB writes', 'writes256KiBBytesPerSecond', mib),
      ],
    ),
  ].join('\n')
}
