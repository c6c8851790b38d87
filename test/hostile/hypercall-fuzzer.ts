// Every hypercall with random input values, registers and pages, from the root and from two children, and what must hold after each:
// an outcome that the interface has, no memory written but the caller's output block, every page of the machine accounted for, and
// partitions that only go forward through their life. One thread and a seed: a failure can be run again.

import { GuestMemory, SlatRight } from '@guestyard/guestmem'
import {
  HYPERCALL_FAST,
  HvRegister,
  HypercallTable,
  PAGE_SIZE,
  SyntheticMsr,
  isHvStatus,
  type HypercallName,
  type PrivilegeMask,
} from '@guestyard/hvdef'
import {
  HYPERCALL_CONTINUED,
  HYPERCALL_MEMORY_INTERCEPT,
  HYPERCALL_REGISTER_WORDS,
  HYPERCALL_UNDEFINED_OPCODE,
  Hypervisor,
  VPS_MAX,
  VirtualProcessor,
  type Partition,
  type PartitionState,
} from '@guestyard/hypervisor'

const RAM_BYTES = 64 * 1024
const RAM_PAGES: number = RAM_BYTES / PAGE_SIZE
const HOST_PAGES = 4096
const PARTITIONS_MAX = 8
const CHILDREN = 2
/** The input page and the page that a call's output mostly goes to, in every caller's RAM. */
const INPUT_PAGE = 9
const OUTPUT_PAGE = 12
/** Times a continued call is made again before the fuzzer loses interest. */
const CONTINUATIONS_MAX = 80
const PAGES_KEPT = 256
/** Elements that are made to fit their call. */
const ELEMENTS = 48

/** What a fuzzer has done. */
export interface FuzzReport {
  readonly seed: number
  readonly inputs: number
  /** Outcomes by their number: statuses, and the negative ones that are none. */
  readonly outcomes: Readonly<Record<string, number>>
  readonly byCaller: Readonly<Record<'root' | 'child', number>>
  /** Calls of the table that were answered with SUCCESS at least once. */
  readonly succeeded: readonly string[]
}

interface Caller {
  readonly isRoot: boolean
  /** Null for the root. */
  readonly partitionId: number | null
  readonly memory: GuestMemory
  /** What the RAM must hold. */
  readonly expected: Buffer
  readonly actual: Buffer
  call(low: number, high: number, registers: Int32Array): number
  callWithRegisters(low: number, high: number, registers: Int32Array): number
  readonly continuedHigh: number
}

const CALLS = Object.entries(HypercallTable) as [HypercallName, { code: number; rep: boolean }][]
const CODES: ReadonlyMap<number, HypercallName> = new Map(
  CALLS.map(([name, { code }]) => [code, name]),
)
const ORDER: readonly PartitionState[] = ['created', 'active', 'finalized']

export class HypercallFuzzer {
  readonly #seed: number
  readonly #random: Random
  readonly #hypervisor: Hypervisor
  readonly #clock = { nowMs: 0, now100ns: 0 }
  readonly #callers: readonly Caller[]
  readonly #backed: GuestMemory[] = []
  readonly #states: Map<number, PartitionState> = new Map()
  readonly #outcomes: Map<number, number> = new Map()
  readonly #succeeded: Set<string> = new Set()
  readonly #byCaller = { root: 0, child: 0 }
  readonly #registers: Int32Array = new Int32Array(HYPERCALL_REGISTER_WORDS)
  /** Pages that the root has taken, or had. */
  readonly #pages: number[] = []
  /** Partition that the latest input is about, when it makes sense. */
  #target = 0
  #lastId = 0
  #inputs = 0

  constructor(seed: number) {
    this.#seed = seed
    this.#random = new Random(seed)
    this.#hypervisor = new Hypervisor({
      clock: this.#clock,
      hostPages: HOST_PAGES,
      maxPartitions: PARTITIONS_MAX,
    })
    const { root } = this.#hypervisor
    const children = Array.from({ length: CHILDREN }, (_, index) => this.#child(index === 0))
    this.#callers = [
      callerOf(null, root.memory, root, () => root.continuedHigh),
      ...children.map(({ id, vp, memory }) => callerOf(id, memory, vp, () => vp.continuedHigh)),
    ]
    this.#checkPartitions()
  }

  /** Makes `count` inputs. Throws an Error with what did not hold, and after how many inputs of this seed. */
  run(count: number): void {
    for (let index = 0; index < count; index += 1) {
      this.#inputs += 1
      try {
        this.#step()
      } catch (error) {
        const what = error instanceof Error ? error.message : String(error)
        throw new Error(`seed ${this.#seed}, input ${this.#inputs}: ${what}`, { cause: error })
      }
    }
  }

  report(): FuzzReport {
    return {
      seed: this.#seed,
      inputs: this.#inputs,
      outcomes: Object.fromEntries([...this.#outcomes].toSorted(([a], [b]) => a - b)),
      byCaller: { ...this.#byCaller },
      succeeded: [...this.#succeeded],
    }
  }

  #step(): void {
    const random = this.#random
    this.#clock.now100ns += random.below(1000)
    this.#clock.nowMs = this.#clock.now100ns / 10_000
    if (random.oneIn(20)) this.#hostStep()
    const caller = this.#callers[random.oneIn(3) ? 1 + random.below(CHILDREN) : 0]!
    this.#byCaller[caller.isRoot ? 'root' : 'child'] += 1
    const code = random.oneIn(12) ? random.u16() : this.#code()
    const low = this.#inputLow(code)
    const high = this.#inputHigh(code)
    this.#fillRegisters(low)
    this.#fillInput(caller, code)
    const outcome = this.#make(caller, low, high)
    this.#check(caller, code, outcome)
  }

  /** What the root does beside calls: takes pages to deposit, backs partitions, looks at what VPs announced. */
  #hostStep(): void {
    const { hostMemory, partitions } = this.#hypervisor
    if (this.#random.oneIn(2)) {
      this.#pages.push(...(hostMemory.take(1 + this.#random.below(48)) ?? []))
      this.#pages.splice(0, this.#pages.length - PAGES_KEPT)
    }
    for (const partition of partitions.values()) {
      if (partition.isBacked || partition.state === 'finalized') continue
      const memory = GuestMemory.create({ sizeBytes: RAM_BYTES })
      const openDoorbell = () => ({ wake: { ring() {} }, buffer: null })
      if (this.#hypervisor.back(partition.id, { memory, openDoorbell }) === 0) {
        this.#backed.push(memory)
      }
    }
    this.#hypervisor.poll(64)
  }

  #make(caller: Caller, low: number, high: number): number {
    const withXmm = this.#random.oneIn(8)
    const make = (upper: number): number =>
      withXmm
        ? caller.callWithRegisters(low, upper, this.#registers)
        : caller.call(low, upper, this.#registers)
    let outcome = make(high)
    for (let again = 0; outcome === HYPERCALL_CONTINUED && again < CONTINUATIONS_MAX; again += 1) {
      outcome = make(caller.continuedHigh)
    }
    return outcome
  }

  #check(caller: Caller, code: number, outcome: number): void {
    this.#outcomes.set(outcome, (this.#outcomes.get(outcome) ?? 0) + 1)
    const isOutcome =
      isHvStatus(outcome) ||
      outcome === HYPERCALL_MEMORY_INTERCEPT ||
      outcome === HYPERCALL_CONTINUED ||
      (outcome === HYPERCALL_UNDEFINED_OPCODE && !caller.isRoot)
    hold(isOutcome, `call 0x${code.toString(16)} answered ${outcome}`)
    if (outcome === 0) this.#succeeded.add(CODES.get(code) ?? `0x${code.toString(16)}`)
    for (const each of this.#callers) {
      // A page of output is the caller's to have changed; nothing else is anybody's.
      if (each === caller) this.#acceptOutput(each)
      hold(each.actual.equals(each.expected), `RAM changed that the call does not write`)
    }
    for (const memory of this.#backed) {
      hold(isZero(memory), 'RAM of a partition that never ran was written')
    }
    this.#checkPages()
    this.#checkPartitions()
  }

  /** What the call may have written, within the page that its output's GPA leads to, the RAM is to hold from here on. */
  #acceptOutput(caller: Caller): void {
    const gpaPage = (this.#registers[2]! >>> 0) / PAGE_SIZE
    if (this.#registers[3] !== 0) return
    const page = this.#ramPage(caller, Math.floor(gpaPage))
    if (page < 0 || page >= RAM_PAGES) return
    const at = page * PAGE_SIZE
    caller.actual.copy(caller.expected, at, at, at + PAGE_SIZE)
  }

  /** The root's GPA space is its RAM; a child's is what the root has mapped meanwhile. */
  #ramPage({ partitionId }: Caller, gpaPage: number): number {
    if (partitionId === null) return gpaPage
    return (
      this.#hypervisor.partitions.get(partitionId)?.slat.ramPage(gpaPage, SlatRight.WRITE) ?? -1
    )
  }

  #checkPages(): void {
    const { pageCount, freePages, rootPages, partitions } = this.#hypervisor.hostMemory.inspect()
    let held = freePages + rootPages
    for (const { ramPages, deposited, inUse } of partitions) {
      hold(inUse >= 0 && inUse <= deposited, 'a partition uses more pages than it was given')
      held += ramPages + deposited
    }
    hold(held === pageCount, `${held} of ${pageCount} pages are accounted for`)
  }

  #checkPartitions(): void {
    const { partitions } = this.#hypervisor
    hold(partitions.size <= PARTITIONS_MAX, 'there are more partitions than there may be')
    const { polled } = partitions
    for (const partition of partitions.values()) {
      this.#checkLife(partition)
      const there = partition.vps.filter((vp) => vp !== undefined)
      hold(
        there.length === 0 || polled.includes(partition),
        'the pass leaves out a partition that has VPs',
      )
      hold(partition.vps.length <= VPS_MAX, 'a partition has more VPs than it may have')
      hold(
        partition.state === 'active' || there.length === 0,
        'a partition that is not active has VPs',
      )
      const { connections } = partition.inspect()
      hold(partition.alive || connections.length === 0, 'a finalized partition has connections')
      for (const { id } of connections) hold(id <= 0xff_ffff, 'a connection id has 24 bits')
    }
    for (const id of this.#states.keys()) {
      if (partitions.get(id) !== undefined) continue
      hold(this.#states.get(id) === 'finalized', 'a partition went without being finalized')
      this.#states.delete(id)
    }
    hold(
      polled.every((one) => partitions.get(one.id) === one),
      'the pass looks at a partition that is gone',
    )
    hold(new Set(polled).size === polled.length, 'the pass looks at a partition twice')
  }

  #checkLife({ id, state }: Partition): void {
    const before = this.#states.get(id)
    if (before === undefined) {
      hold(id > this.#lastId, 'an id was given twice')
      this.#lastId = id
    } else {
      hold(ORDER.indexOf(state) >= ORDER.indexOf(before), `a partition went back to ${state}`)
    }
    this.#states.set(id, state)
  }

  /** A call of the table. What ends things is rare, so that there is something for the others to work on. */
  #code(): number {
    const [name, { code }] = this.#random.pick(CALLS)
    const isEnd = /Finalize|Delete|Disconnect|Withdraw/.test(name)
    return isEnd && !this.#random.oneIn(30) ? this.#code() : code
  }

  #inputLow(code: number): number {
    const random = this.#random
    let low = code
    if (random.oneIn(6)) low |= HYPERCALL_FAST
    if (random.oneIn(16)) low |= random.below(random.oneIn(4) ? 0x400 : 4) << 17
    if (random.oneIn(40)) low |= 1 << (27 + random.below(5))
    return low >>> 0
  }

  #inputHigh(code: number): number {
    const random = this.#random
    if (random.oneIn(40)) return random.u32()
    const name = CODES.get(code)
    const isRep = name !== undefined && HypercallTable[name].rep
    if (isRep === random.oneIn(16)) return 0
    const count = random.oneIn(4)
      ? 1 + random.below(0xfff)
      : 1 + random.below(random.oneIn(3) ? ELEMENTS : 6)
    const start = random.oneIn(5) ? random.below(count + 1) : 0
    return count | (start << 16)
  }

  /** RDX, R8 and XMM0 to XMM5: of a slow call mostly the input and the output page. */
  #fillRegisters(low: number): void {
    const random = this.#random
    for (let word = 0; word < HYPERCALL_REGISTER_WORDS; word += 1) {
      this.#registers[word] = this.#word()
    }
    if ((low & HYPERCALL_FAST) !== 0) {
      if (random.oneIn(2)) this.#registers[0] = this.#liveId()
      if (random.oneIn(2)) this.#registers[1] = 0
      return
    }
    this.#registers[0] = this.#gpa(INPUT_PAGE)
    this.#registers[1] = random.oneIn(50) ? random.u32() : 0
    this.#registers[2] = this.#gpa(OUTPUT_PAGE)
    this.#registers[3] = random.oneIn(50) ? random.u32() : 0
  }

  #gpa(page: number): number {
    const random = this.#random
    if (random.oneIn(30)) return random.u32()
    if (random.oneIn(20)) return random.below(RAM_BYTES + 2 * PAGE_SIZE)
    const where = random.oneIn(8) ? random.below(RAM_PAGES) : page
    return where * PAGE_SIZE + (random.oneIn(8) ? random.below(PAGE_SIZE / 8) * 8 : 0)
  }

  /** New words for the beginning of the input page, and where else the input may come from. Half of them make sense. */
  #fillInput(caller: Caller, code: number): void {
    const at = this.#registers[0]! >>> 0
    if (this.#registers[1] !== 0 || at >= RAM_BYTES) return
    const first = at >>> 2
    const words = Math.min(this.#random.oneIn(6) ? 512 : 20, RAM_BYTES / 4 - first)
    for (let word = first; word < first + words; word += 1) {
      caller.memory.i32[word] = this.#word()
    }
    const name = CODES.get(code)
    if (name !== undefined && !this.#random.oneIn(4)) this.#fillFields(caller, name, first * 4)
    const end = Math.min(first * 4 + PAGE_SIZE, RAM_BYTES)
    caller.actual.copy(caller.expected, first * 4, first * 4, end)
  }

  /** The fields of a call's input, by what their names say, and elements such as the call takes. */
  #fillFields(caller: Caller, name: HypercallName, at: number): void {
    const { input } = HypercallTable[name]
    if (input === null || at + input.size + ELEMENTS * 8 > RAM_BYTES) return
    const { view } = caller.memory
    for (const [field, { at: offset, size }] of Object.entries(input.fields)) {
      const value = this.#fieldValue(field)
      const bytes = Math.min(size, 8)
      for (let byte = 0; byte < bytes; byte += 1) {
        const part = byte < 4 ? value >>> (byte * 8) : value < 0 ? 0xff : 0
        view.setUint8(at + offset + byte, part & 0xff)
      }
    }
    if ('portInfo' in input.at) this.#fillPortInfo(view, at + input.at.portInfo)
    for (let element = 0; element < ELEMENTS; element += 1) {
      const [low, high] = this.#element(name, element)
      view.setInt32(at + input.size + element * 8, low, true)
      view.setInt32(at + input.size + element * 8 + 4, high, true)
    }
  }

  /** A message port or an event port of some flags, mostly at SINT 2. */
  #fillPortInfo(view: DataView, at: number): void {
    const random = this.#random
    const words = [1 + random.below(2), 0, 2, random.below(2), (1 + random.below(9)) << 16, 0]
    words.forEach((word, index) => view.setUint32(at + index * 4, word, true))
  }

  /** The id of a partition that there is, the root's among them. */
  #liveId(): number {
    const ids = [...this.#states.keys()]
    return this.#random.oneIn(6) ? 1 : (ids[this.#random.below(ids.length)] ?? 1)
  }

  #fieldValue(field: string): number {
    const random = this.#random
    if (/partition|parent|child/i.test(field)) {
      this.#target = this.#liveId()
      return random.oneIn(8) ? -1 : this.#target
    }
    if (/vtl|padding|reserved/i.test(field)) return 0
    if (/property(Code)?$/i.test(field) || field === 'propertyCode') return random.pick(INTERESTING)
    if (/type/i.test(field)) return 1 + random.below(2)
    if (/vp|id$|count|size/i.test(field)) return random.below(5)
    if (/mask|flags|value|gpa/i.test(field)) return random.below(16)
    if (/vector/i.test(field)) return random.below(256)
    return this.#word()
  }

  #element(name: HypercallName, index: number): readonly [low: number, high: number] {
    const random = this.#random
    if (name === 'HvCallDepositMemory' && this.#pages.length > 0) {
      return [random.pick(this.#pages), 0]
    }
    if (name === 'HvCallSetVpRegisters') {
      return index % 4 === 0 ? [random.pick(REGISTERS), 0] : [random.below(2), 0]
    }
    if (name === 'HvCallGetVpRegisters') return [random.pick(REGISTERS), random.pick(REGISTERS)]
    if (name === 'HvCallMapGpaPages') {
      const [extent] = this.#hypervisor.hostMemory.ramOf(this.#target)
      return [(extent?.hostPage ?? 0) + random.below(RAM_PAGES), 0]
    }
    return [random.pick(INTERESTING), random.oneIn(2) ? 0 : random.u32() | 0]
  }

  /** A word such as calls take: mostly small, the ids and pages that there are, all ones; sometimes anything. */
  #word(): number {
    const random = this.#random
    switch (random.below(12)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return 0
      case 4:
        return random.below(5)
      case 5:
        return this.#lastId - random.below(4)
      case 6:
        return 2 + random.below(CHILDREN)
      case 7:
        return -1
      case 8:
        return random.below(HOST_PAGES + 2)
      case 9:
        return random.pick(INTERESTING)
      case 10:
        return random.below(0x1_0000)
      default:
        return random.u32() | 0
    }
  }

  /** A partition that is booted: its VP can call. One of them holds privileges that children never have. */
  #child(privileged: boolean): {
    readonly id: number
    readonly vp: VirtualProcessor
    readonly memory: GuestMemory
  } {
    const memory = GuestMemory.create({ sizeBytes: RAM_BYTES })
    const wake = { ring() {} }
    const created = this.#hypervisor.createPartition({
      memory,
      vpCount: 1,
      wakeVp: [wake],
      ...(privileged ? { privileges: ALMOST_ALL } : {}),
    })
    hold(created.ok, 'there is room for the children')
    const handles = created.partition.handlesFor(0)!
    const vp = new VirtualProcessor(handles, { memory, wakeRoot: wake, clock: this.#clock })
    vp.writeMsr(SyntheticMsr.GUEST_OS_ID, 1, 0x8100_0000)
    vp.writeMsr(SyntheticMsr.HYPERCALL, PAGE_SIZE | 1, 0)
    vp.writeMsr(SyntheticMsr.SIMP, (2 * PAGE_SIZE) | 1, 0)
    vp.writeMsr(SyntheticMsr.SIEFP, (3 * PAGE_SIZE) | 1, 0)
    vp.writeMsr(SyntheticMsr.SINT0 + 2, 0xf3, 0)
    vp.writeMsr(SyntheticMsr.SCONTROL, 1, 0)
    return { id: created.partition.id, vp, memory }
  }
}

/** All privileges but CpuManagement: with that one it would be a root. */
const ALMOST_ALL: PrivilegeMask = { low: 0xffff_ffff, high: (0xffff_ffff & ~(1 << 12)) >>> 0 }
/** Properties, registers, port types with flags, map flags, SINT 2, suspended. */
const INTERESTING: readonly number[] = [
  0x0001_0000,
  0x0001_0001,
  0x0002_0000,
  0x0002_0001,
  0x0002_0002,
  0x0002_0003,
  0x0003_0003,
  0x0003_0005,
  0x0005_0003,
  0x0007_0000,
  0x0001_0004,
  0x0002_0010,
  0x0009_0002,
  0x0004_0000,
  0x0000_0200,
  0x0801_0200,
  0x8000_000f | 0,
  0x0000_000f,
  0x0001_0003,
  0x0100_0000,
  0x8001_0000 | 0,
]

const REGISTERS: readonly number[] = Object.values(HvRegister)

interface Processor {
  hypercall(
    inLow: number,
    inHigh: number,
    p0Low: number,
    p0High: number,
    p1Low: number,
    p1High: number,
  ): number
  hypercallWithRegisters(inLow: number, inHigh: number, registers: Int32Array): number
}

function callerOf(
  partitionId: number | null,
  memory: GuestMemory,
  processor: Processor,
  continued: () => number,
): Caller {
  const actual = Buffer.from(memory.buffer)
  return {
    isRoot: partitionId === null,
    partitionId,
    memory,
    actual,
    expected: Buffer.from(actual),
    call: (low, high, r) => processor.hypercall(low, high, r[0]!, r[1]!, r[2]!, r[3]!),
    callWithRegisters: (low, high, r) => processor.hypercallWithRegisters(low, high, r),
    get continuedHigh() {
      return continued()
    },
  }
}

const ZEROS = Buffer.alloc(RAM_BYTES)

function isZero(memory: GuestMemory): boolean {
  return Buffer.from(memory.buffer).equals(ZEROS)
}

function hold(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what)
}

/** xorshift32: the same numbers for the same seed, everywhere. */
class Random {
  #state: number

  constructor(seed: number) {
    // Neighbouring seeds begin far apart, and none at zero, where it would stay.
    this.#state = Math.imul(seed ^ 0x9e37_79b9, 0x85eb_ca6b) | 0 || 1
    for (let i = 0; i < 8; i += 1) this.u32()
  }

  u32(): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x
    return x >>> 0
  }

  u16(): number {
    return this.u32() >>> 16
  }

  /** 0 to `limit` - 1. */
  below(limit: number): number {
    return Math.floor((this.u32() / 2 ** 32) * limit)
  }

  oneIn(n: number): boolean {
    return this.below(n) === 0
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!
  }
}
