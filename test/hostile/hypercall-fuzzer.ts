// Every hypercall with random input values, registers and pages, from the root and from two children, and what must hold after each:
// an outcome that the interface has, no memory written but the caller's output block, every page of the machine accounted for, and
// partitions that only go forward through their life. One thread and a seed: a failure can be run again.

import { GuestMemory, SlatRight } from '@guestyard/guestmem'
import { PAGE_SIZE, isHvStatus } from '@guestyard/hvdef'
import {
  HYPERCALL_CONTINUED,
  HYPERCALL_MEMORY_INTERCEPT,
  HYPERCALL_UNDEFINED_OPCODE,
  Hypervisor,
} from '@guestyard/hypervisor'

import { RAM_BYTES, RAM_PAGES, bootedChild, callerOf, type Caller } from './fuzz-caller.ts'
import { CODES, FuzzInputs } from './fuzz-inputs.ts'
import { FuzzInvariants, hold } from './fuzz-invariants.ts'
import { Random } from './fuzz-random.ts'

const HOST_PAGES = 4096
const PARTITIONS_MAX = 8
const CHILDREN = 2
/** Times a continued call is made again before the fuzzer loses interest. */
const CONTINUATIONS_MAX = 80
const PAGES_KEPT = 256
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

export class HypercallFuzzer {
  readonly #seed: number
  readonly #random: Random
  readonly #hypervisor: Hypervisor
  readonly #clock = { nowMs: 0, now100ns: 0 }
  readonly #invariants: FuzzInvariants
  readonly #inputs: FuzzInputs
  readonly #callers: readonly Caller[]
  readonly #backed: GuestMemory[] = []
  readonly #outcomes: Map<number, number> = new Map()
  readonly #succeeded: Set<string> = new Set()
  readonly #byCaller = { root: 0, child: 0 }
  #count = 0

  constructor(seed: number) {
    this.#seed = seed
    this.#random = new Random(seed)
    this.#hypervisor = new Hypervisor({
      clock: this.#clock,
      hostPages: HOST_PAGES,
      maxPartitions: PARTITIONS_MAX,
    })
    this.#invariants = new FuzzInvariants(this.#hypervisor, PARTITIONS_MAX)
    this.#inputs = new FuzzInputs({
      random: this.#random,
      hypervisor: this.#hypervisor,
      invariants: this.#invariants,
      children: CHILDREN,
      hostPages: HOST_PAGES,
    })
    const { root } = this.#hypervisor
    const children = Array.from({ length: CHILDREN }, (_, index) =>
      bootedChild(this.#hypervisor, this.#clock, index === 0),
    )
    this.#callers = [
      callerOf(null, root.memory, root, () => root.continuedHigh),
      ...children.map(({ id, vp, memory }) => callerOf(id, memory, vp, () => vp.continuedHigh)),
    ]
    this.#invariants.check()
  }

  /** Makes `count` inputs. Throws an Error with what did not hold, and after how many inputs of this seed. */
  run(count: number): void {
    for (let index = 0; index < count; index += 1) {
      this.#count += 1
      try {
        this.#step()
      } catch (error) {
        const what = error instanceof Error ? error.message : String(error)
        throw new Error(`seed ${this.#seed}, input ${this.#count}: ${what}`, { cause: error })
      }
    }
  }

  report(): FuzzReport {
    return {
      seed: this.#seed,
      inputs: this.#count,
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
    const code = random.oneIn(12) ? random.u16() : this.#inputs.code()
    const low = this.#inputs.inputLow(code)
    const high = this.#inputs.inputHigh(code)
    this.#inputs.fillRegisters(low)
    this.#inputs.fillInput(caller, code)
    const outcome = this.#make(caller, low, high)
    this.#check(caller, code, outcome)
  }

  /** What the root does beside calls: takes pages to deposit, backs partitions, looks at what VPs announced. */
  #hostStep(): void {
    const { hostMemory, partitions } = this.#hypervisor
    if (this.#random.oneIn(2)) {
      this.#inputs.pages.push(...(hostMemory.take(1 + this.#random.below(48)) ?? []))
      this.#inputs.pages.splice(0, this.#inputs.pages.length - PAGES_KEPT)
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
        ? caller.callWithRegisters(low, upper, this.#inputs.registers)
        : caller.call(low, upper, this.#inputs.registers)
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
    this.#invariants.check()
  }

  /** What the call may have written, within the page that its output's GPA leads to, the RAM is to hold from here on. */
  #acceptOutput(caller: Caller): void {
    const gpaPage = (this.#inputs.registers[2]! >>> 0) / PAGE_SIZE
    if (this.#inputs.registers[3] !== 0) return
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
}

const ZEROS = Buffer.alloc(RAM_BYTES)

function isZero(memory: GuestMemory): boolean {
  return Buffer.from(memory.buffer).equals(ZEROS)
}
