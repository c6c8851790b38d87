/**
 * From what a scenario file says to what the runner does: everything checked, nothing started.
 * The first thing that is wrong becomes one `InputError` naming the field.
 */

import { existsSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'

import { MEMORY_GRANULE_BYTES, MEMORY_MAX_BYTES, MEMORY_MIN_BYTES } from '@guestyard/management'
import type { DiskOptions, NicOptions, SwitchesOptions } from '@guestyard/management'
import type { VmOptions } from '@guestyard/management'
import * as v from 'valibot'

import { planDisks } from './disk-plan.ts'
import { planNics } from './nic-plan.ts'
import { planSwitches } from './switch-plan.ts'
import { InputError } from './input-error.ts'
import {
  formatBytes,
  parseByteSize,
  parseDurationMs,
  parseFraction,
  show,
  type Parsed,
} from './quantity.ts'
import type { Scenario, ScenarioDefinition, VmDefinition } from './scenario.ts'

/** A machine to make, all of it checked. */
export interface VmPlan {
  readonly name: string
  readonly memoryBytes: number
  /** What it may grow to while it runs. */
  readonly memoryMaximumBytes: number
  /** The guest program; `null`: the guest boots and takes load. */
  readonly program: URL | null
  /** Linux in place of a script guest; `null`: none. */
  readonly linux: NonNullable<VmOptions['linux']> | null
  readonly args: unknown
  readonly weight: number
  /** Fractions of a logical processor. */
  readonly cap: number
  readonly reserve: number
  /** Its relay group; `false`: no relays. */
  readonly relay: string | false
  readonly placement: 'contiguous' | 'scattered'
  readonly disks: readonly DiskOptions[]
  readonly nics: readonly NicOptions[]
}

/** A scenario that can be run. */
export interface ScenarioPlan {
  readonly name: string
  /** The file it came from, as a URL; `undefined` when it was made in a program. */
  readonly fileUrl: string | undefined
  readonly logicalProcessors: number | undefined
  readonly scheduler: 'classic' | 'core' | 'root'
  readonly threadsPerCore: number
  readonly sliceMs: number
  readonly hostMemoryBytes: number | undefined
  readonly switches: SwitchesOptions
  readonly vms: readonly VmPlan[]
  readonly run: Scenario['run']
}

const VM_COUNT_MAX = 256
const LOGICAL_PROCESSORS_MAX = 64
const THREADS_PER_CORE_MAX = 8
const SLICE_DEFAULT = '2 ms'
const SLICE_MS_PLAIN = 2
const LOGICAL_PROCESSORS_DEFAULT = 2
const SLICE_MS_MIN = 0.1
const SLICE_MS_MAX = 100
/** A smaller cap is none of the hypervisor's units. */
const CAP_MIN = 1 / 0x1_0000
/** Reserves are rounded to the hypervisor's units. */
const RESERVES_ROUNDING = 1e-9
const HOST_MEMORY_MIN_BYTES: number = 16 * 2 ** 20
const HOST_MEMORY_MAX_BYTES: number = 2 ** 40
const WEIGHT_DEFAULT = 100
const WEIGHT_MAX = 10_000
const RELAY_GROUP_DEFAULT = 'default'
const RELAY_GROUP_LENGTH_MAX = 64

const wholeNumber = (from: number, to: number, what: string) => {
  const message = (issue: { readonly input: unknown }): string =>
    `expected ${what}, a whole number from ${from} to ${to}, got ${show(issue.input)}`
  return v.pipe(
    v.number(message),
    v.integer(message),
    v.minValue(from, message),
    v.maxValue(to, message),
  )
}

/** RAM at the start, and what it may grow to: one size is both. */
interface MemorySize {
  readonly startup: number
  readonly maximum: number
}

const memorySchema = v.pipe(
  v.unknown(),
  v.rawTransform<unknown, MemorySize>(({ dataset, addIssue, NEVER }) => {
    const size = parseMemory(dataset.value)
    if (size.ok) return size.value
    addIssue({ message: size.problem })
    return NEVER
  }),
)

const fractionSchema = (from: number) =>
  v.pipe(
    v.unknown(),
    v.rawTransform<unknown, number>(({ dataset, addIssue, NEVER }) => {
      const share = parseFraction(dataset.value)
      if (share.ok && share.value >= from) return share.value
      addIssue({ message: share.ok ? `${show(dataset.value)} is too small` : share.problem })
      return NEVER
    }),
  )

const sliceSchema = v.pipe(
  v.unknown(),
  v.rawTransform<unknown, number>(({ dataset, addIssue, NEVER }) => {
    const slice = parseDurationMs(dataset.value)
    if (slice.ok && slice.value >= SLICE_MS_MIN && slice.value <= SLICE_MS_MAX) return slice.value
    const written = show(dataset.value)
    addIssue({ message: slice.ok ? `${written} is not from 100 us to 100 ms` : slice.problem })
    return NEVER
  }),
)

const hostMemorySchema = v.pipe(
  v.unknown(),
  v.rawTransform<unknown, number>(({ dataset, addIssue, NEVER }) => {
    const size = parseByteSize(dataset.value)
    if (size.ok && isHostMemory(size.value)) return size.value
    addIssue({
      message: size.ok ? `${show(dataset.value)} is not from 16 MiB to 1 TiB` : size.problem,
    })
    return NEVER
  }),
)

const vmSchema = v.strictObject(
  {
    memory: memorySchema,
    guest: v.optional(
      v.union(
        [v.pipe(v.string(), v.nonEmpty()), v.instance(URL)],
        (issue) => `expected the path of a guest program, got ${show(issue.input)}`,
      ),
    ),
    linux: v.optional(
      v.strictObject(
        {
          append: v.optional(v.string()),
          folder: v.optional(v.string()),
          generation: v.optional(v.picklist([1, 2], 'expected 1 or 2')),
        },
        'expected an object with append, folder, generation',
      ),
    ),
    args: v.optional(v.unknown()),
    weight: v.optional(wholeNumber(1, WEIGHT_MAX, 'a weight'), WEIGHT_DEFAULT),
    cap: v.optional(fractionSchema(CAP_MIN), 1),
    reserve: v.optional(fractionSchema(0), 0),
    relay: v.optional(
      v.union(
        [v.literal(false), v.pipe(v.string(), v.nonEmpty(), v.maxLength(RELAY_GROUP_LENGTH_MAX))],
        (issue) => `expected a group, 1 to 64 characters, or false, got ${show(issue.input)}`,
      ),
      RELAY_GROUP_DEFAULT,
    ),
    placement: v.optional(
      v.picklist(
        ['contiguous', 'scattered'],
        (issue) => `expected 'contiguous' or 'scattered', got ${show(issue.input)}`,
      ),
      'contiguous',
    ),
    disks: v.optional(v.unknown(), []),
    dvd: v.optional(v.unknown()),
    nics: v.optional(v.unknown(), []),
  },
  'expected an object with memory, guest, linux, args, weight, cap, reserve, relay, placement, disks, dvd, nics',
)

const hostSchema = v.strictObject(
  {
    logicalProcessors: v.optional(wholeNumber(1, LOGICAL_PROCESSORS_MAX, 'a count')),
    scheduler: v.optional(
      v.picklist(
        ['classic', 'core', 'root'],
        (issue) => `expected 'classic', 'core' or 'root', got ${show(issue.input)}`,
      ),
      'root',
    ),
    threadsPerCore: v.optional(wholeNumber(1, THREADS_PER_CORE_MAX, 'a count'), 1),
    slice: v.optional(sliceSchema, SLICE_DEFAULT),
    memory: v.optional(hostMemorySchema),
  },
  'expected an object with logicalProcessors, scheduler, threadsPerCore, slice, memory',
)

const scenarioSchema = v.strictObject(
  {
    name: v.optional(
      v.pipe(v.string('expected text'), v.nonEmpty('expected text that is not empty')),
    ),
    host: v.optional(hostSchema),
    switches: v.optional(
      v.custom<SwitchesOptions>(
        (input) => typeof input === 'object' && input !== null,
        (issue) => `expected an object of switches, got ${show(issue.input)}`,
      ),
      {},
    ),
    vms: v.record(v.string(), vmSchema, 'expected an object of virtual machines'),
    run: v.custom<Scenario['run']>(
      (input) => typeof input === 'function',
      (issue) => `expected a function, got ${show(issue.input)}`,
    ),
  },
  'expected a scenario: an object with vms and run',
)

/**
 * Checks a scenario. `where` stands before the field in errors (the file's path); guest paths are
 * relative to `fileUrl` (to the working directory when it is left out).
 */
export function planScenario<Vms extends Record<string, VmDefinition>>(
  definition: ScenarioDefinition<Vms>,
  options: { readonly where?: string; readonly fileUrl?: string } = {},
): ScenarioPlan {
  const where = options.where === undefined ? '' : `${options.where}: `
  const parsed = v.safeParse(scenarioSchema, definition, { abortEarly: true })
  if (!parsed.success) throw asInputError(parsed.issues[0], where)

  const { name, host, switches, vms, run } = parsed.output
  const names = Object.keys(vms)
  if (names.length === 0) {
    throw new InputError(`${where}vms`, 'expected at least one virtual machine')
  }
  if (names.length > VM_COUNT_MAX) {
    throw new InputError(`${where}vms`, `${names.length} virtual machines, at most ${VM_COUNT_MAX}`)
  }
  checkReserves(host, Object.values(vms), where)
  const base = options.fileUrl ?? pathToFileURL(`${process.cwd()}/`).href
  return {
    name: name ?? (options.fileUrl === undefined ? 'scenario' : fileStem(options.fileUrl)),
    fileUrl: options.fileUrl,
    logicalProcessors: host?.logicalProcessors,
    scheduler: host?.scheduler ?? 'root',
    threadsPerCore: checkedCores(host?.threadsPerCore ?? 1, host?.logicalProcessors, where),
    sliceMs: host?.slice ?? SLICE_MS_PLAIN,
    hostMemoryBytes: host?.memory,
    switches: planSwitches(switches, base, where),
    vms: Object.entries(vms).map(([vmName, vm]) => ({
      name: checkedName(vmName, where),
      memoryBytes: vm.memory.startup,
      memoryMaximumBytes: vm.memory.maximum,
      program: guestProgram(vm.guest, base, `${where}vms.${vmName}.guest`),
      linux: linuxOf(vm, `${where}vms.${vmName}.linux`),
      args: checkedArgs(vm.args, `${where}vms.${vmName}.args`),
      weight: vm.weight,
      cap: vm.cap,
      reserve: checkedReserve(vm, `${where}vms.${vmName}.reserve`),
      relay: vm.relay,
      placement: vm.placement,
      disks: planDisks(vm.disks, vm.dvd, base, `${where}vms.${vmName}`),
      nics: planNics(vm.nics, `${where}vms.${vmName}`),
    })),
    run,
  }
}

function linuxOf(
  vm: v.InferOutput<typeof vmSchema>,
  where: string,
): NonNullable<VmOptions['linux']> | null {
  if (vm.linux === undefined) return null
  if (vm.guest !== undefined || vm.args !== undefined) {
    throw new InputError(where, 'a Linux guest has neither guest nor args')
  }
  const { append = '', folder = null, generation = 2 } = vm.linux
  return { append, folder, generation }
}

function parseMemory(written: unknown): Parsed<MemorySize> {
  if (typeof written !== 'object' || written === null || Array.isArray(written)) {
    const size = parseRam(written)
    return size.ok ? { ok: true, value: { startup: size.value, maximum: size.value } } : size
  }
  const { startup, maximum, ...others } = written as Record<string, unknown>
  const [unknownField] = Object.keys(others)
  if (unknownField !== undefined) {
    return { ok: false, problem: `unknown field ${unknownField} (known: startup, maximum)` }
  }
  const from = parseRam(startup)
  if (!from.ok) return { ok: false, problem: `startup: ${from.problem}` }
  const to = parseRam(maximum)
  if (!to.ok) return { ok: false, problem: `maximum: ${to.problem}` }
  if (to.value < from.value) {
    return { ok: false, problem: `maximum: ${show(maximum)} is less than startup` }
  }
  return { ok: true, value: { startup: from.value, maximum: to.value } }
}

function parseRam(written: unknown): Parsed<number> {
  const size = parseByteSize(written)
  if (!size.ok) return size
  const problem = memoryProblem(size.value, show(written))
  return problem === undefined ? size : { ok: false, problem }
}

function checkedReserve(
  vm: { readonly cap: number; readonly reserve: number },
  where: string,
): number {
  if (vm.reserve <= vm.cap) return vm.reserve
  throw new InputError(where, 'is more than the cap')
}

/** Reserves that the machine can't keep beside each other, told before any guest is there. A processor each: a guest has one VP. */
function checkReserves(
  host: v.InferOutput<typeof hostSchema> | undefined,
  vms: readonly { readonly reserve: number }[],
  where: string,
): void {
  if (host === undefined || host.scheduler === 'root') return
  const processors = host.logicalProcessors ?? LOGICAL_PROCESSORS_DEFAULT
  // A core runs one machine at a time under the core scheduler.
  const there = host.scheduler === 'core' ? processors / host.threadsPerCore : processors
  const reserved = vms.reduce((sum, { reserve }) => sum + reserve, 0)
  if (reserved <= there + RESERVES_ROUNDING) return
  const percent = (share: number): string => `${Number((share * 100).toFixed(2))} %`
  const what = host.scheduler === 'core' ? 'cores' : 'logical processors'
  throw new InputError(
    `${where}vms`,
    `their reserves are ${percent(reserved)} together, more than the ${percent(there)} of ${there} ${what}`,
  )
}

function checkedCores(
  threads: number,
  logicalProcessors: number | undefined,
  where: string,
): number {
  if ((logicalProcessors ?? LOGICAL_PROCESSORS_DEFAULT) % threads === 0) return threads
  const processors = `${logicalProcessors ?? LOGICAL_PROCESSORS_DEFAULT} logical processors`
  throw new InputError(
    `${where}host.threadsPerCore`,
    `${processors} are no whole cores of ${threads}`,
  )
}

function memoryProblem(bytes: number, written: string): string | undefined {
  if (bytes < MEMORY_MIN_BYTES) {
    return `${written} is too small: at least ${formatBytes(MEMORY_MIN_BYTES)}`
  }
  if (bytes > MEMORY_MAX_BYTES) {
    return `${written} is too large: at most 4 GiB less 64 KiB`
  }
  if (bytes % MEMORY_GRANULE_BYTES !== 0) {
    return `${written} is not a multiple of ${formatBytes(MEMORY_GRANULE_BYTES)}`
  }
  return undefined
}

function isHostMemory(bytes: number): boolean {
  return bytes >= HOST_MEMORY_MIN_BYTES && bytes <= HOST_MEMORY_MAX_BYTES
}

function asInputError(issue: v.BaseIssue<unknown>, where: string): InputError {
  const path = v.getDotPath(issue) ?? ''
  const field = where === '' && path === '' ? 'scenario' : `${where}${path}`.replace(/: $/, '')
  if (issue.type === 'strict_object' && issue.expected === 'never') {
    return new InputError(field, `unknown field (known: ${knownFields(path)})`)
  }
  if (issue.type === 'strict_object' && issue.received === 'undefined' && path !== '') {
    return new InputError(field, 'is missing')
  }
  return new InputError(field, issue.message)
}

function knownFields(path: string): string {
  if (path.startsWith('vms.')) return Object.keys(vmSchema.entries).join(', ')
  if (path.startsWith('host.')) return Object.keys(hostSchema.entries).join(', ')
  return Object.keys(scenarioSchema.entries).join(', ')
}

function checkedName(name: string, where: string): string {
  if (name === 'all') {
    throw new InputError(`${where}vms.all`, "the name 'all' stands for every machine")
  }
  if (/^[A-Za-z][A-Za-z0-9_-]{0,62}$/.test(name)) return name
  throw new InputError(
    `${where}vms.${show(name)}`,
    'a name is a letter, then letters, digits, - or _, at most 63 in all',
  )
}

function guestProgram(guest: string | URL | undefined, base: string, where: string): URL | null {
  if (guest === undefined) return null
  const url = new URL(guest, base)
  if (url.protocol !== 'file:') throw new InputError(where, `expected a file, got ${url.protocol}`)
  if (!existsSync(url)) throw new InputError(where, `no file ${fileURLToPath(url)}`)
  return url
}

/** Arguments cross to the guest's thread by structured clone; what cannot is better known now. */
function checkedArgs(args: unknown, where: string): unknown {
  try {
    return structuredClone(args)
  } catch (error) {
    const why = error instanceof Error ? `: ${error.message}` : ''
    throw new InputError(where, `is not plain data${why}`)
  }
}

function fileStem(fileUrl: string): string {
  return fileUrl.slice(fileUrl.lastIndexOf('/') + 1).replace(/\.[^.]+$/, '')
}
