// HOT
// The hypercall table and its dispatch, on the caller's thread. A call is one row and one method; a row is handed
// the capabilities it names and a private copy of its input block, never guest memory.
//
// What every call shares is checked here, in this order (TLFS, "Hypercall Interface"): the code, the privilege, the
// input value's format, the alignment of the blocks, and that they are RAM.

import type { GuestMemory } from '@guestyard/guestmem'
import {
  HV_MESSAGE_MAX_PAYLOAD,
  HYPERCALL_FAST,
  HYPERCALL_NESTED,
  HYPERCALL_REP_COUNT_MAX,
  HYPERCALL_RESERVED_HIGH,
  HYPERCALL_RESERVED_LOW,
  HYPERCALL_VARIABLE_HEADER_QWORDS_MAX,
  HvPrivilege,
  HvStatus,
  HypercallTable,
  PAGE_OFFSET_MASK,
  PAGE_SIZE,
  PostMessageInput,
  privilegeMask,
} from '@guestyard/hvdef'
import type { Hypercall, HypercallName, PrivilegeMask } from '@guestyard/hvdef'

/** Not a status: the call raised #UD, because the hypercall page is not enabled. */
export const HYPERCALL_UNDEFINED_OPCODE = -1
/** Not a status: a block is not RAM. On hardware the parent gets a memory intercept and the VP is suspended. */
export const HYPERCALL_MEMORY_INTERCEPT = -2

/** HvCallPostMessage. `payload` words from `payloadAt`; size in bytes. */
export interface PostMessage {
  postMessage(
    connection: number,
    type: number,
    size: number,
    payload: Int32Array,
    payloadAt: number,
  ): HvStatus
}

/** HvCallSignalEvent. */
export interface SignalEvent {
  signalEvent(connection: number, flagNumber: number): HvStatus
}

/** HvCallGetPartitionId. */
export interface GetPartitionId {
  readonly partitionId: number
}

/** HvCallNotifyLongSpinWait. */
export interface NotifyLongSpinWait {
  notifyLongSpinWait(spinCount: number): void
}

/** Everything that rows of the table may use. */
export type HypercallCapabilities = PostMessage & SignalEvent & GetPartitionId & NotifyLongSpinWait

/** The private copies of one call's blocks: words of the input, words of the output. Reused for every call. */
export interface HypercallBlocks {
  readonly input: Int32Array
  readonly output: Int32Array
}

/** A row: what hvdef declares, and what dispatch needs to know. */
export interface HypercallRow extends Hypercall {
  readonly name: HypercallName
  /** Bytes of input, a multiple of 8. */
  readonly inputBytes: number
  /** Bytes of output, a multiple of 8. */
  readonly outputBytes: number
  /** Privilege without which it is ACCESS_DENIED; null: any partition may call. */
  readonly privilege: HvPrivilege | null
  invoke(capabilities: HypercallCapabilities, blocks: HypercallBlocks): HvStatus
}

/** Largest input block of any row, and largest output block, in bytes. */
const INPUT_BYTES_MAX = 272
const OUTPUT_BYTES_MAX = 16
/** What two registers carry. */
const FAST_BYTES_MAX = 16
const PAYLOAD_WORD: number = PostMessageInput.at.payload / 4

/** The calls of this hypervisor. */
export const HYPERCALLS: readonly HypercallRow[] = [
  {
    ...HypercallTable.HvCallNotifyLongSpinWait,
    name: 'HvCallNotifyLongSpinWait',
    inputBytes: 8,
    outputBytes: 0,
    privilege: null,
    invoke(capabilities, blocks) {
      capabilities.notifyLongSpinWait(blocks.input[0]! >>> 0)
      return HvStatus.SUCCESS
    },
  },
  {
    ...HypercallTable.HvCallGetPartitionId,
    name: 'HvCallGetPartitionId',
    inputBytes: 0,
    outputBytes: 8,
    privilege: HvPrivilege.ACCESS_PARTITION_ID,
    invoke(capabilities, blocks) {
      blocks.output[0] = capabilities.partitionId % 2 ** 32
      blocks.output[1] = Math.floor(capabilities.partitionId / 2 ** 32)
      return HvStatus.SUCCESS
    },
  },
  {
    ...HypercallTable.HvCallPostMessage,
    name: 'HvCallPostMessage',
    inputBytes: 256,
    outputBytes: 0,
    privilege: HvPrivilege.POST_MESSAGES,
    invoke(capabilities, blocks) {
      const type = blocks.input[2]!
      const size = blocks.input[3]! >>> 0
      // Types with bit 31 are the hypervisor's own, and 0 is an empty slot: both are negative or zero here.
      if (type <= 0 || size > HV_MESSAGE_MAX_PAYLOAD) return HvStatus.INVALID_PARAMETER
      return capabilities.postMessage(blocks.input[0]!, type, size, blocks.input, PAYLOAD_WORD)
    },
  },
  {
    ...HypercallTable.HvCallSignalEvent,
    name: 'HvCallSignalEvent',
    inputBytes: 8,
    outputBytes: 0,
    privilege: HvPrivilege.SIGNAL_EVENTS,
    invoke(capabilities, blocks) {
      return capabilities.signalEvent(blocks.input[0]!, blocks.input[1]! & 0xffff)
    },
  },
]

/** A row with what dispatch looks at on every call, in one shape. */
interface Entry {
  readonly row: HypercallRow
  readonly privilegeLow: number
  readonly privilegeHigh: number
  readonly rep: boolean
  readonly fastAllowed: boolean
  readonly inputWords: number
  readonly outputWords: number
}

/** Dispatches the calls of one VP. `repsCompleted` belongs to the latest call. */
export class HypercallDispatch {
  /** Elements done by the latest rep call, counted from element 0. */
  repsCompleted = 0
  readonly #entries: (Entry | undefined)[] = []
  readonly #privilegeLow: number
  readonly #privilegeHigh: number
  readonly #memory: GuestMemory
  readonly #capabilities: HypercallCapabilities
  readonly #input: Int32Array = new Int32Array(INPUT_BYTES_MAX / 4)
  readonly #output: Int32Array = new Int32Array(OUTPUT_BYTES_MAX / 4)
  readonly #blocks: HypercallBlocks = { input: this.#input, output: this.#output }

  constructor(
    rows: readonly HypercallRow[],
    privileges: PrivilegeMask,
    memory: GuestMemory,
    capabilities: HypercallCapabilities,
  ) {
    this.#privilegeLow = privileges.low
    this.#privilegeHigh = privileges.high
    this.#memory = memory
    this.#capabilities = capabilities
    for (const row of rows) this.#entries[row.code] = entryOf(row)
  }

  /**
   * One call: the input value in two halves, then input GPA or fast input 0, then output GPA or fast input 1.
   * An HvStatus, or HYPERCALL_MEMORY_INTERCEPT.
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
    if (entry === undefined) return HvStatus.INVALID_HYPERCALL_CODE
    if (
      ((entry.privilegeLow & ~this.#privilegeLow) |
        (entry.privilegeHigh & ~this.#privilegeHigh)) !==
      0
    ) {
      return HvStatus.ACCESS_DENIED
    }
    if (!isWellFormed(entry, inLow, inHigh)) return HvStatus.INVALID_HYPERCALL_INPUT
    if ((inLow & HYPERCALL_FAST) !== 0) {
      if (!entry.fastAllowed) return HvStatus.INVALID_HYPERCALL_INPUT
      const input = this.#input
      input[0] = p0Low
      input[1] = p0High
      input[2] = p1Low
      input[3] = p1High
      return entry.row.invoke(this.#capabilities, this.#blocks)
    }
    return this.#slowCall(entry, gpaOf(p0Low, p0High), gpaOf(p1Low, p1High))
  }

  #slowCall(entry: Entry, inputGpa: number, outputGpa: number): number {
    const inputBytes = entry.inputWords * 4
    const outputBytes = entry.outputWords * 4
    if (!isPlaced(inputGpa, inputBytes) || !isPlaced(outputGpa, outputBytes)) {
      return HvStatus.INVALID_ALIGNMENT
    }
    if (inputBytes > 0 && !this.#memory.contains(inputGpa, inputBytes)) {
      return HYPERCALL_MEMORY_INTERCEPT
    }
    if (outputBytes > 0 && !this.#memory.contains(outputGpa, outputBytes)) {
      return HYPERCALL_MEMORY_INTERCEPT
    }
    const ram = this.#memory.i32
    const from = inputGpa / 4
    for (let word = 0; word < entry.inputWords; word++) this.#input[word] = ram[from + word]!
    const status = entry.row.invoke(this.#capabilities, this.#blocks)
    if (status === HvStatus.SUCCESS) {
      const to = outputGpa / 4
      for (let word = 0; word < entry.outputWords; word++) ram[to + word] = this.#output[word]!
    }
    return status
  }
}

function entryOf(row: HypercallRow): Entry {
  const mask = privilegeMask(row.privilege === null ? [] : [row.privilege])
  return {
    row,
    privilegeLow: mask.low,
    privilegeHigh: mask.high,
    rep: row.rep,
    fastAllowed: row.outputBytes === 0 && row.inputBytes <= FAST_BYTES_MAX,
    inputWords: row.inputBytes / 4,
    outputWords: row.outputBytes / 4,
  }
}

/** Reserved bits are zero, the rep fields fit the kind of call, no call takes a variable header. */
function isWellFormed(entry: Entry, inLow: number, inHigh: number): boolean {
  if ((inLow & (HYPERCALL_RESERVED_LOW | HYPERCALL_NESTED)) !== 0) return false
  if (((inLow >>> 17) & HYPERCALL_VARIABLE_HEADER_QWORDS_MAX) !== 0) return false
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
