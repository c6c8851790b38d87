// HOT
// The dispatch of hypercalls, on the caller's thread. A call is one row and one method; a row is handed the capabilities
// it names and private copies of its blocks, never guest memory. The rows that a VP meets are in `vp-calls.ts`, those that
// only the root may use in `root-calls/`.
//
// What every call shares is done here. Checks come in this order (TLFS, "Hypercall Interface"): the code, the privilege, the
// input value's format, the alignment of the blocks, and that they are RAM.
//
//   input block   fixed header | variable header | element 0 | element 1 | ...
//   output block  fixed part   | element 0 | element 1 | ...
//
// A rep call does at most REPS_PER_INVOCATION_MAX elements and then gives the processor back: HYPERCALL_CONTINUED, with the
// input value that the same instruction is to be executed with again.

import { SlatRight } from '@guestyard/guestmem'
import type { GuestMemory, SlatReader } from '@guestyard/guestmem'
import {
  HYPERCALL_FAST,
  HYPERCALL_NESTED,
  HYPERCALL_REP_COUNT_MAX,
  HYPERCALL_RESERVED_HIGH,
  HYPERCALL_RESERVED_LOW,
  HYPERCALL_VARIABLE_HEADER_QWORDS_MAX,
  HvStatus,
  HypercallTable,
  PAGE_OFFSET_MASK,
  PAGE_SIZE,
  privilegeMask,
} from '@guestyard/hvdef'
import type { Hypercall, HypercallName, HvPrivilege, PrivilegeMask } from '@guestyard/hvdef'

import { HypercallCounters } from './hypercall-counters.ts'

/** Not a status: the call raised #UD, because the hypercall page is not enabled. */
export const HYPERCALL_UNDEFINED_OPCODE = -1
/** Not a status: a block is not RAM. On hardware the parent gets a memory intercept and the VP is suspended. */
export const HYPERCALL_MEMORY_INTERCEPT = -2
/**
 * Not a status: a rep call has more elements to do. The instruction is executed again, with `continuedHigh` as the upper half of
 * its input value; interrupts may be taken before. `repsCompleted` counts what is done so far.
 */
export const HYPERCALL_CONTINUED = -3

/** Elements that one invocation of a rep call works on, at most. */
export const REPS_PER_INVOCATION_MAX = 64
/** Words of RDX, R8 and XMM0 to XMM5, in this order: what a fast call takes and gives with the XMM registers. */
export const HYPERCALL_REGISTER_WORDS = 28

/** The private copies of one call's blocks, and where in them a row finds what it is to do. Reused for every call. */
export interface HypercallBlocks {
  readonly input: Int32Array
  readonly output: Int32Array
  /** Words of `input` where the variable header begins, and its size in 8-byte units. */
  variableWord: number
  variableQwords: number
  /** Rep calls: the element to work on, counted from 0, and the words where its input and its output lie. */
  element: number
  elementWord: number
  outputWord: number
}

/** The blocks of a call: what hvdef declares of it, and how its elements follow. Sizes are in bytes. */
export interface HypercallShape extends Hypercall {
  readonly name: HypercallName
  /** Fixed header of the input, a multiple of 8. */
  readonly inputBytes: number
  /** Rep calls: input of one element, a multiple of 4; 0 for a call whose elements are output only. */
  readonly elementBytes: number
  /** Fixed part of the output, a multiple of 8. */
  readonly outputBytes: number
  /** Rep calls: output of one element, a multiple of 4. */
  readonly outputElementBytes: number
  /** True when a variable header may follow the fixed one. */
  readonly variableHeader: boolean
}

/** What a row answers: a status, or that the same call, or element, is to be made again. */
export type HypercallOutcome = HvStatus | typeof HYPERCALL_CONTINUED

/** A row: a call's shape, who may make it, and what it does. */
export interface HypercallRow<C> extends HypercallShape {
  /** Privilege without which it is ACCESS_DENIED; null: any partition may call. */
  readonly privilege: HvPrivilege | null
  /** Does the call, or one element of it. What an element wrote counts only when it is SUCCESS. */
  invoke(capabilities: C, blocks: HypercallBlocks): HypercallOutcome
}

/** The shape of a call without elements. */
export function simpleCall(name: HypercallName, outputBytes = 0): HypercallShape {
  const { code, input, rep } = HypercallTable[name]
  return {
    code,
    input,
    rep,
    name,
    inputBytes: input === null ? 0 : input.size,
    elementBytes: 0,
    outputBytes,
    outputElementBytes: 0,
    variableHeader: false,
  }
}

/** The shape of a rep call. */
export function repCall(
  name: HypercallName,
  elementBytes: number,
  outputElementBytes = 0,
): HypercallShape {
  return { ...simpleCall(name), elementBytes, outputElementBytes }
}

/** A row with what dispatch looks at on every call, in one shape. */
interface Entry<C> {
  readonly row: HypercallRow<C>
  readonly index: number
  readonly privilegeLow: number
  readonly privilegeHigh: number
  readonly rep: boolean
  readonly variableHeader: boolean
  readonly inputWords: number
  readonly elementWords: number
  readonly outputWords: number
  readonly outputElementWords: number
  /** True for a simple call whose input two registers carry and that has no output. */
  readonly fitsRegisters: boolean
}

/** Dispatches the calls of one VP. `repsCompleted` and `continuedHigh` belong to the latest call. */
export class HypercallDispatch<C> {
  /** Elements done by the latest rep call, counted from element 0. */
  repsCompleted = 0
  /** After HYPERCALL_CONTINUED: the upper half of the input value to go on with. */
  continuedHigh = 0
  readonly counters: HypercallCounters
  readonly #entries: (Entry<C> | undefined)[] = []
  readonly #privilegeLow: number
  readonly #privilegeHigh: number
  readonly #memory: GuestMemory
  readonly #slat: SlatReader | null
  readonly #capabilities: C
  readonly #input: Int32Array = new Int32Array(PAGE_SIZE / 4)
  readonly #output: Int32Array = new Int32Array(PAGE_SIZE / 4)
  readonly #blocks: HypercallBlocks = {
    input: this.#input,
    output: this.#output,
    variableWord: 0,
    variableQwords: 0,
    element: 0,
    elementWord: 0,
    outputWord: 0,
  }

  /** `slat`: what is at each GPA page; without it every page is RAM at its own place. */
  constructor(
    rows: readonly HypercallRow<C>[],
    privileges: PrivilegeMask,
    memory: GuestMemory,
    capabilities: C,
    slat: SlatReader | null = null,
  ) {
    this.#privilegeLow = privileges.low
    this.#privilegeHigh = privileges.high
    this.#memory = memory
    this.#slat = slat
    this.#capabilities = capabilities
    this.counters = new HypercallCounters(rows.map((row) => row.name))
    rows.forEach((row, index) => {
      this.#entries[row.code] = entryOf(row, index)
    })
  }

  /**
   * One call: the input value in two halves, then input GPA or fast input 0, then output GPA or fast input 1.
   * An HvStatus, HYPERCALL_MEMORY_INTERCEPT or HYPERCALL_CONTINUED. A fast call that needs XMM registers is
   * INVALID_HYPERCALL_INPUT here: see `callWithRegisters`.
   */
  call(
    inLow: number,
    inHigh: number,
    p0Low: number,
    p0High: number,
    p1Low: number,
    p1High: number,
  ): number {
    this.repsCompleted = 0
    const entry = this.#entries[inLow & 0xffff]
    if (entry === undefined) return this.#refuse(HvStatus.INVALID_HYPERCALL_CODE)
    if (
      ((entry.privilegeLow & ~this.#privilegeLow) |
        (entry.privilegeHigh & ~this.#privilegeHigh)) !==
      0
    ) {
      return this.#refuse(HvStatus.ACCESS_DENIED)
    }
    if (!isWellFormed(entry, inLow, inHigh)) {
      return this.#refuse(HvStatus.INVALID_HYPERCALL_INPUT)
    }
    if ((inLow & HYPERCALL_FAST) === 0) {
      return this.#memoryCall(entry, inLow, inHigh, gpaOf(p0Low, p0High), gpaOf(p1Low, p1High))
    }
    if (!entry.fitsRegisters) return this.#refuse(HvStatus.INVALID_HYPERCALL_INPUT)
    const input = this.#input
    input[0] = p0Low
    input[1] = p0High
    input[2] = p1Low
    input[3] = p1High
    const status = entry.row.invoke(this.#capabilities, this.#blocks)
    if (status === HYPERCALL_CONTINUED) return this.#continue(0, 0)
    this.counters.done(entry.index, status)
    return status
  }

  /**
   * As `call`, by a processor that gives its XMM registers: `registers` holds RDX, R8 and XMM0 to XMM5. The output of a fast call
   * goes to the registers after its input, at the next multiple of 16 bytes (TLFS, "XMM Fast Hypercall Input", "… Output").
   */
  callWithRegisters(inLow: number, inHigh: number, registers: Int32Array): number {
    const entry = this.#entries[inLow & 0xffff]
    const isPlain = entry === undefined || (inLow & HYPERCALL_FAST) === 0 || entry.fitsRegisters
    if (isPlain) {
      return this.call(inLow, inHigh, registers[0]!, registers[1]!, registers[2]!, registers[3]!)
    }
    this.repsCompleted = 0
    if (
      ((entry.privilegeLow & ~this.#privilegeLow) |
        (entry.privilegeHigh & ~this.#privilegeHigh)) !==
      0
    ) {
      return this.#refuse(HvStatus.ACCESS_DENIED)
    }
    if (!isWellFormed(entry, inLow, inHigh)) {
      return this.#refuse(HvStatus.INVALID_HYPERCALL_INPUT)
    }
    const reps = inHigh & HYPERCALL_REP_COUNT_MAX
    const inputWords = inputWordsOf(entry, inLow, reps)
    const outputWords = entry.outputWords + entry.outputElementWords * reps
    const outputAt = outputWords === 0 ? inputWords : (inputWords + 3) & ~3
    if (outputAt + outputWords > HYPERCALL_REGISTER_WORDS) {
      return this.#refuse(HvStatus.INVALID_HYPERCALL_INPUT)
    }
    for (let word = 0; word < inputWords; word++) this.#input[word] = registers[word]!
    return this.#invoke(entry, inLow, inHigh, registers, outputAt)
  }

  /** A call whose blocks are in memory. */
  #memoryCall(
    entry: Entry<C>,
    inLow: number,
    inHigh: number,
    inputGpa: number,
    outputGpa: number,
  ): number {
    const reps = inHigh & HYPERCALL_REP_COUNT_MAX
    const inputBytes = inputWordsOf(entry, inLow, reps) * 4
    const outputBytes = padded(entry.outputWords + entry.outputElementWords * reps) * 4
    if (!isPlaced(inputGpa, inputBytes) || !isPlaced(outputGpa, outputBytes)) {
      return this.#refuse(HvStatus.INVALID_ALIGNMENT)
    }
    const inputAt = this.#addressOf(inputGpa, inputBytes, SlatRight.READ)
    const outputAt = this.#addressOf(outputGpa, outputBytes, SlatRight.WRITE)
    if (inputAt < 0 || outputAt < 0) return this.#refuse(HYPERCALL_MEMORY_INTERCEPT)
    const ram = this.#memory.i32
    const from = inputAt / 4
    const words = inputBytes / 4
    for (let word = 0; word < words; word++) this.#input[word] = ram[from + word]!
    return this.#invoke(entry, inLow, inHigh, ram, outputAt / 4)
  }

  /** Byte address in RAM of a block, which lies in one page; 0 for an empty one, -1 where it may not be. */
  #addressOf(gpa: number, bytes: number, rights: number): number {
    if (bytes === 0) return 0
    let address = gpa
    if (this.#slat !== null) {
      const page = Math.floor(gpa / PAGE_SIZE)
      const ramPage = this.#slat.ramPage(page, rights)
      if (ramPage < 0) return -1
      address = ramPage * PAGE_SIZE + (gpa - page * PAGE_SIZE)
    }
    return this.#memory.contains(address, bytes) ? address : -1
  }

  /** The input is copied: does the call and copies the output to `to`, at word `toWord`. */
  #invoke(entry: Entry<C>, inLow: number, inHigh: number, to: Int32Array, toWord: number): number {
    const blocks = this.#blocks
    blocks.variableWord = entry.inputWords
    blocks.variableQwords = (inLow >>> 17) & HYPERCALL_VARIABLE_HEADER_QWORDS_MAX
    if (entry.rep) return this.#invokeReps(entry, inHigh, to, toWord)
    const status = entry.row.invoke(this.#capabilities, blocks)
    if (status === HYPERCALL_CONTINUED) return this.#continue(0, 0)
    this.counters.done(entry.index, status)
    if (status === HvStatus.SUCCESS) {
      for (let word = 0; word < entry.outputWords; word++) to[toWord + word] = this.#output[word]!
    }
    return status
  }

  /** At least one element is attempted. An element that fails ends the call; those before it are done. */
  #invokeReps(entry: Entry<C>, inHigh: number, to: Int32Array, toWord: number): number {
    const blocks = this.#blocks
    const count = inHigh & HYPERCALL_REP_COUNT_MAX
    const start = (inHigh >>> 16) & HYPERCALL_REP_COUNT_MAX
    const end = Math.min(count, start + REPS_PER_INVOCATION_MAX)
    const firstInput = entry.inputWords + blocks.variableQwords * 2
    const size = entry.outputElementWords
    for (let element = start; element < end; element++) {
      blocks.element = element
      blocks.elementWord = firstInput + element * entry.elementWords
      blocks.outputWord = entry.outputWords + element * size
      const status = entry.row.invoke(this.#capabilities, blocks)
      if (status === HYPERCALL_CONTINUED) return this.#continue(count, element)
      if (status !== HvStatus.SUCCESS) {
        this.repsCompleted = element
        this.counters.done(entry.index, status)
        return status
      }
      const at = blocks.outputWord
      for (let word = at; word < at + size; word++) to[toWord + word] = this.#output[word]!
    }
    if (end < count) return this.#continue(count, end)
    this.repsCompleted = end
    this.counters.done(entry.index, HvStatus.SUCCESS)
    return HvStatus.SUCCESS
  }

  /** `done` elements of `count` are done. */
  #continue(count: number, done: number): number {
    this.repsCompleted = done
    this.continuedHigh = (count | (done << 16)) >>> 0
    this.counters.continued++
    return HYPERCALL_CONTINUED
  }

  #refuse(outcome: number): number {
    this.counters.refused(outcome)
    return outcome
  }
}

/** The input list in words: header, variable header and elements, padded to 8 bytes. */
function inputWordsOf<C>(entry: Entry<C>, inLow: number, reps: number): number {
  const variable = ((inLow >>> 17) & HYPERCALL_VARIABLE_HEADER_QWORDS_MAX) * 2
  return padded(entry.inputWords + variable + entry.elementWords * reps)
}

function padded(words: number): number {
  return (words + 1) & ~1
}

function entryOf<C>(row: HypercallRow<C>, index: number): Entry<C> {
  const mask = privilegeMask(row.privilege === null ? [] : [row.privilege])
  return {
    row,
    index,
    privilegeLow: mask.low,
    privilegeHigh: mask.high,
    rep: row.rep,
    variableHeader: row.variableHeader,
    inputWords: row.inputBytes / 4,
    elementWords: row.elementBytes / 4,
    outputWords: row.outputBytes / 4,
    outputElementWords: row.outputElementBytes / 4,
    fitsRegisters: !row.rep && !row.variableHeader && row.outputBytes === 0 && row.inputBytes <= 16,
  }
}

/** Reserved bits are zero, the rep fields fit the kind of call, and so does the variable header. */
function isWellFormed<C>(entry: Entry<C>, inLow: number, inHigh: number): boolean {
  if ((inLow & (HYPERCALL_RESERVED_LOW | HYPERCALL_NESTED)) !== 0) return false
  if (!entry.variableHeader && ((inLow >>> 17) & HYPERCALL_VARIABLE_HEADER_QWORDS_MAX) !== 0) {
    return false
  }
  if (!entry.rep) return inHigh === 0
  if ((inHigh & HYPERCALL_RESERVED_HIGH) !== 0) return false
  const count = inHigh & HYPERCALL_REP_COUNT_MAX
  return count !== 0 && ((inHigh >>> 16) & HYPERCALL_REP_COUNT_MAX) < count
}

/** A block is 8-aligned and stays within one page; an absent one may be anywhere. */
function isPlaced(gpa: number, bytes: number): boolean {
  return bytes === 0 || ((gpa & 7) === 0 && (gpa & PAGE_OFFSET_MASK) <= PAGE_SIZE - bytes)
}

/** Inexact from 2^53 on, where there is no RAM. */
function gpaOf(low: number, high: number): number {
  return (high >>> 0) * 2 ** 32 + (low >>> 0)
}
