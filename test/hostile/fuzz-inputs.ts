// The fuzzer's inputs: calls of the table and others, input values, registers, and blocks of which half make sense.

import {
  HYPERCALL_FAST,
  HvRegister,
  HypercallTable,
  PAGE_SIZE,
  type HypercallName,
} from '@guestyard/hvdef'
import { HYPERCALL_REGISTER_WORDS, type Hypervisor } from '@guestyard/hypervisor'

import { RAM_BYTES, RAM_PAGES, type Caller } from './fuzz-caller.ts'
import type { FuzzInvariants } from './fuzz-invariants.ts'
import type { Random } from './fuzz-random.ts'

/** The input page and the page that a call's output mostly goes to, in every caller's RAM. */
const INPUT_PAGE = 9
const OUTPUT_PAGE = 12
/** Elements that are made to fit their call. */
const ELEMENTS = 48

const CALLS = Object.entries(HypercallTable) as [HypercallName, { code: number; rep: boolean }][]
/** Calls of the table by their code. */
export const CODES: ReadonlyMap<number, HypercallName> = new Map(
  CALLS.map(([name, { code }]) => [code, name]),
)

export interface FuzzInputsOptions {
  readonly random: Random
  readonly hypervisor: Hypervisor
  readonly invariants: FuzzInvariants
  /** Children that call, and pages of the machine. */
  readonly children: number
  readonly hostPages: number
}

export class FuzzInputs {
  /** RDX, R8 and XMM0 to XMM5 of the next call. */
  readonly registers: Int32Array = new Int32Array(HYPERCALL_REGISTER_WORDS)
  /** Pages that the root has taken, or had. */
  readonly pages: number[] = []
  readonly #random: Random
  readonly #hypervisor: Hypervisor
  readonly #invariants: FuzzInvariants
  readonly #children: number
  readonly #hostPages: number
  /** Partition that the latest input is about, when it makes sense. */
  #target = 0

  constructor(options: FuzzInputsOptions) {
    this.#random = options.random
    this.#hypervisor = options.hypervisor
    this.#invariants = options.invariants
    this.#children = options.children
    this.#hostPages = options.hostPages
  }

  /** A call of the table. What ends things is rare, so that there is something for the others to work on. */
  code(): number {
    const [name, { code }] = this.#random.pick(CALLS)
    const isEnd = /Finalize|Delete|Disconnect|Withdraw/.test(name)
    return isEnd && !this.#random.oneIn(30) ? this.code() : code
  }

  inputLow(code: number): number {
    const random = this.#random
    let low = code
    if (random.oneIn(6)) low |= HYPERCALL_FAST
    if (random.oneIn(16)) low |= random.below(random.oneIn(4) ? 0x400 : 4) << 17
    if (random.oneIn(40)) low |= 1 << (27 + random.below(5))
    return low >>> 0
  }

  inputHigh(code: number): number {
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
  fillRegisters(low: number): void {
    const random = this.#random
    for (let word = 0; word < HYPERCALL_REGISTER_WORDS; word += 1) {
      this.registers[word] = this.#word()
    }
    if ((low & HYPERCALL_FAST) !== 0) {
      if (random.oneIn(2)) this.registers[0] = this.#liveId()
      if (random.oneIn(2)) this.registers[1] = 0
      return
    }
    this.registers[0] = this.#gpa(INPUT_PAGE)
    this.registers[1] = random.oneIn(50) ? random.u32() : 0
    this.registers[2] = this.#gpa(OUTPUT_PAGE)
    this.registers[3] = random.oneIn(50) ? random.u32() : 0
  }

  #gpa(page: number): number {
    const random = this.#random
    if (random.oneIn(30)) return random.u32()
    if (random.oneIn(20)) return random.below(RAM_BYTES + 2 * PAGE_SIZE)
    const where = random.oneIn(8) ? random.below(RAM_PAGES) : page
    return where * PAGE_SIZE + (random.oneIn(8) ? random.below(PAGE_SIZE / 8) * 8 : 0)
  }

  /** New words for the beginning of the input page, and where else the input may come from. Half of them make sense. */
  fillInput(caller: Caller, code: number): void {
    const at = this.registers[0]! >>> 0
    if (this.registers[1] !== 0 || at >= RAM_BYTES) return
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
    const ids = this.#invariants.ids
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
    if (name === 'HvCallDepositMemory' && this.pages.length > 0) {
      return [random.pick(this.pages), 0]
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
        return this.#invariants.lastId - random.below(4)
      case 6:
        return 2 + random.below(this.#children)
      case 7:
        return -1
      case 8:
        return random.below(this.#hostPages + 2)
      case 9:
        return random.pick(INTERESTING)
      case 10:
        return random.below(0x1_0000)
      default:
        return random.u32() | 0
    }
  }
}

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
