import {
  describeAddress,
  type DiskSpec,
  type NicSpec,
} from '@guestyard/root-partition/worker-protocol'

import { diskSpecs, type DiskOptions } from './disk-settings.ts'
import { nicSpecs, type NicOptions } from './nic-settings.ts'
import type { LinuxSettings } from '../vmwp/protocol.ts'

/** What a VM is made of, checked. Everything is plain data: it travels to the VM's worker process. */
export interface VmSettings {
  readonly name: string
  /** RAM in bytes; a multiple of 64 KiB. */
  readonly memoryBytes: number
  /** What it may grow to while it runs. */
  readonly memoryMaximumBytes: number
  readonly vpCount: number
  /** Share of a logical processor under contention, 1..10000. */
  readonly weight: number
  /** Most, and least, of a logical processor for each VP; 0x10000 is the whole. */
  readonly cap: number
  readonly reserve: number
  /** Its relay group; `false`: no relays. */
  readonly relay: string | false
  /** URL of the guest's program, or null for a guest that only serves load runs. */
  readonly program: string | null
  /** A machine guest that boots Linux; null: a script guest. */
  readonly linux: LinuxSettings | null
  readonly args: unknown
  readonly placement: 'contiguous' | 'scattered'
  readonly spinMicroseconds: number
  readonly bootTimeoutMs: number
  readonly notRespondingMs: number
  /** JavaScript heap of the guest's program, beyond its RAM. */
  readonly heapBytes: number
  /** Part of the heap where new objects are made. */
  readonly youngHeapBytes: number
  /** Disks and DVD drives that it starts with. */
  readonly disks: readonly DiskSpec[]
  /** Network adapters. */
  readonly nics: readonly NicSpec[]
}

/** As callers write it; what is left out has a default. */
export interface VmOptions {
  /** Unique on its host; 1 to 64 characters. */
  readonly name: string
  /** Default 64 MiB; at least 2 MiB, at most 4 GiB less 64 KiB, a multiple of 64 KiB. Linux: 256 MiB; 64 MiB to 1 GiB, a multiple of 128 KiB. */
  readonly memoryBytes?: number
  /** What `addMemory` may bring it to while it runs, kept for it by the machine from the start; default `memoryBytes`. The same limits. */
  readonly memoryMaximumBytes?: number
  /** Share of the processors beside other VMs, 1..10000; default 100. Like cap and reserve, under the classic and core schedulers only. */
  readonly weight?: number
  /** Most that each VP gets of a logical processor: above 0, up to 1; default 1. */
  readonly cap?: number
  /** What each VP is guaranteed of one: 0 to the cap; default 0. A VM whose reserve can't be met does not start. */
  readonly reserve?: number
  /**
   * VMs of one relay group can join each other's relay streams, VMs of different groups not: stream ids are per group. 1 to 64
   * characters; `false` for a VM that relays nothing; default `default`, one group of the host.
   */
  readonly relay?: string | false
  /** Module with an exported `main(guest)`. */
  readonly program?: URL | string | null
  /** Linux in place of a script guest. What is left out has a default; it has neither program nor args. */
  readonly linux?: Partial<LinuxSettings> | null
  readonly args?: unknown
  /** Where the guest takes ring pages from; default `contiguous`. */
  readonly placement?: 'contiguous' | 'scattered'
  /** How long the guest's idle loop polls before it sleeps; default 20 µs. */
  readonly spinMicroseconds?: number
  /** Default 60 s, 300 s for Linux: many guests that boot at once on few processors take their time. */
  readonly bootTimeoutMs?: number
  /** A guest that does not poll for this long is ended; default 30 s. */
  readonly notRespondingMs?: number
  /**
   * What the guest's program may keep in its JavaScript heap, beyond its RAM: whole MiB, 16 MiB to 64 GiB; default 1 GiB. From 2 GiB on
   * each such guest costs 2 MiB more, idle or not.
   */
  readonly heapBytes?: number
  /**
   * How far the part of that heap may grow where new objects are made, before it is collected: whole MiB, 1 MiB to 1 GiB; default 32 MiB. It
   * starts small and grows only under a program that makes many objects.
   */
  readonly youngHeapBytes?: number
  /** Disks and DVD drives that it starts with: at most 4 SCSI controllers of 64 places, and 2 IDE controllers of 2. */
  readonly disks?: readonly DiskOptions[]
  /** Network adapters, at most 8: `[{ switch: 'lan' }]`. */
  readonly nics?: readonly NicOptions[]
}

/** One logical processor, as the hypervisor's properties count. */
const PROCESSOR_ONE = 0x1_0000
const KIB = 1024
const MIB = 1024 * KIB
export const MEMORY_GRANULE_BYTES: number = 64 * KIB
export const MEMORY_MIN_BYTES: number = 2 * MIB
export const MEMORY_MAX_BYTES: number = 4096 * MIB - MEMORY_GRANULE_BYTES

/** Fills in defaults. Throws a `RangeError` whose one line names the field, its value and what is allowed. */
export function vmSettings(options: VmOptions): VmSettings {
  const { name } = options
  if (typeof name !== 'string' || name.length < 1 || name.length > 64) {
    throw new RangeError(`name: ${JSON.stringify(name)} is not 1 to 64 characters`)
  }
  const linux = linuxSettings(name, options)
  const memoryBytes = options.memoryBytes ?? (linux === null ? 64 : 256) * MIB
  const granule = MEMORY_GRANULE_BYTES
  if (linux !== null) {
    const { LINUX_MIN_BYTES: least, LINUX_MAX_BYTES: most } = LINUX_MEMORY
    checkWhole(name, 'memoryBytes', memoryBytes, least, most, LINUX_MEMORY.GRANULE_BYTES)
  }
  checkWhole(name, 'memoryBytes', memoryBytes, MEMORY_MIN_BYTES, MEMORY_MAX_BYTES, granule)
  const memoryMaximumBytes = options.memoryMaximumBytes ?? memoryBytes
  checkWhole(name, 'memoryMaximumBytes', memoryMaximumBytes, memoryBytes, MEMORY_MAX_BYTES, granule)
  if (linux !== null && memoryMaximumBytes !== memoryBytes) {
    throw new RangeError(`VM "${name}": memoryMaximumBytes: RAM of a Linux guest does not grow`)
  }
  const weight = options.weight ?? 100
  checkWhole(name, 'weight', weight, 1, 10_000)
  const cap = processorShare(name, 'cap', options.cap ?? 1)
  const reserve = processorShare(name, 'reserve', options.reserve ?? 0)
  if (cap === 0) throw new RangeError(`VM "${name}": cap: 0 would never let it run`)
  if (reserve > cap) throw new RangeError(`VM "${name}": reserve: is more than its cap`)
  const relay = options.relay ?? 'default'
  checkRelay(name, relay)
  const spinMicroseconds = options.spinMicroseconds ?? 20
  checkWhole(name, 'spinMicroseconds', spinMicroseconds, 0, 1_000_000)
  const bootTimeoutMs = options.bootTimeoutMs ?? (linux === null ? 60_000 : 300_000)
  checkWhole(name, 'bootTimeoutMs', bootTimeoutMs, 1, 600_000)
  const notRespondingMs = options.notRespondingMs ?? 30_000
  checkWhole(name, 'notRespondingMs', notRespondingMs, 20, 3_600_000)
  const heapBytes = options.heapBytes ?? 1024 * MIB
  checkWhole(name, 'heapBytes', heapBytes, 16 * MIB, 65_536 * MIB, MIB)
  const youngHeapBytes = options.youngHeapBytes ?? 32 * MIB
  checkWhole(name, 'youngHeapBytes', youngHeapBytes, MIB, 1024 * MIB, MIB)
  const program = options.program ?? null
  const disks = diskSpecs(options.disks ?? [], `VM "${name}": disks`)
  if (linux !== null) checkMachineDisks(name, linux, disks)
  return {
    name,
    memoryBytes,
    memoryMaximumBytes,
    vpCount: 1,
    weight,
    cap,
    reserve,
    relay,
    program: program === null ? null : String(program),
    linux,
    args: options.args ?? null,
    placement: options.placement ?? 'contiguous',
    spinMicroseconds,
    bootTimeoutMs,
    notRespondingMs,
    heapBytes,
    youngHeapBytes,
    disks,
    nics: nicSpecs(options.nics ?? [], `VM "${name}": nics`),
  }
}

/** A 32-bit kernel with its initial RAM disk, and what is addressed without windows. */
const LINUX_MEMORY = {
  LINUX_MIN_BYTES: 64 * MIB,
  LINUX_MAX_BYTES: 1024 * MIB,
  GRANULE_BYTES: 128 * KIB,
} as const
const COMMAND_LINE_MAX = 1024

function linuxSettings(vm: string, options: VmOptions): LinuxSettings | null {
  const { linux = null } = options
  if (linux === null) return null
  if ((options.program ?? null) !== null || (options.args ?? null) !== null) {
    throw new RangeError(`VM "${vm}": linux: a Linux guest has neither program nor args`)
  }
  const { folder = null, append = '', shell = false, generation = 2 } = linux
  if (typeof append !== 'string' || append.length > COMMAND_LINE_MAX) {
    throw new RangeError(
      `VM "${vm}": linux.append: is not text of at most ${COMMAND_LINE_MAX} characters`,
    )
  }
  if (folder !== null && typeof folder !== 'string') {
    throw new RangeError(`VM "${vm}": linux.folder: is not the path of a folder`)
  }
  if (typeof shell !== 'boolean') {
    throw new RangeError(`VM "${vm}": linux.shell: is neither true nor false`)
  }
  if (generation !== 1 && generation !== 2) {
    const given = JSON.stringify(generation)
    throw new RangeError(`VM "${vm}": linux.generation: ${given} is neither 1 nor 2`)
  }
  return { folder, append, shell, generation }
}

/** Machines of generation 1 have one disk on IDE, and those of generation 2 no IDE. */
function checkMachineDisks(vm: string, linux: LinuxSettings, disks: readonly DiskSpec[]): void {
  const onIde = disks.filter(({ controllerType }) => controllerType === 'ide')
  const [first] = onIde
  if (first === undefined) return
  const where = `VM "${vm}": disks: ${describeAddress(first)}`
  if (linux.generation === 2) throw new RangeError(`${where}: generation 2 has no IDE`)
  const { device, controllerNumber, controllerLocation } = first
  const isMaster = controllerNumber === 0 && controllerLocation === 0
  if (onIde.length > 1 || device !== 'disk' || !isMaster) {
    throw new RangeError(`${where}: a Linux guest has one disk on IDE, at controller 0, location 0`)
  }
}

function checkRelay(vm: string, relay: string | false): void {
  if (relay === false) return
  if (typeof relay === 'string' && relay.length >= 1 && relay.length <= 64) return
  const given = JSON.stringify(relay)
  throw new RangeError(`VM "${vm}": relay: ${given} is neither 1 to 64 characters nor false`)
}

/** A fraction of a processor in the hypervisor's units. What is above 0 stays so. */
function processorShare(vm: string, field: string, value: number): number {
  if (!(value >= 0 && value <= 1)) {
    throw new RangeError(`VM "${vm}": ${field}: ${value} is not a fraction from 0 to 1`)
  }
  return Math.ceil(value * PROCESSOR_ONE)
}

/** A whole number from `min` to `max`, and a multiple of `step`, a size in whole KiB. */
function checkWhole(
  vm: string,
  field: string,
  value: number,
  min: number,
  max: number,
  step: number = 1,
): void {
  if (Number.isInteger(value) && value >= min && value <= max) {
    if (value % step === 0) return
    const size = step % MIB === 0 ? `${step / MIB} MiB` : `${step / KIB} KiB`
    throw new RangeError(`VM "${vm}": ${field}: ${value} is not a multiple of ${size}`)
  }
  throw new RangeError(`VM "${vm}": ${field}: ${value} is not a whole number from ${min} to ${max}`)
}
