// Registers of a child's VP that its parent reads and writes (TLFS, HvCallGetVpRegisters). A VP's own registers are its thread's:
// the parent has them while the VP waits for an intercept to be completed, which is when it needs them.

import {
  HvPrivilege,
  HvRegister,
  HvStatus,
  PENDING_EVENT_HAS_ERROR_CODE,
  PENDING_EVENT_PENDING,
  PENDING_EVENT_VECTOR_SHIFT,
  VpRegistersInput,
} from '@guestyard/hvdef'

import { repCall } from '../hypercalls.ts'
import type { HypercallRow } from '../hypercalls.ts'
import { InterceptRegister } from '../intercepts/intercept-slot.ts'
import type { PartitionTable } from '../partition-table.ts'
import type { Partition } from '../partition.ts'
import type { RootVp } from '../root-vp.ts'
import { partitionAt } from './call-arguments.ts'

/** A register's value is 16 bytes: four words from `at` of `words`. */
export interface RegisterCallTargets {
  /**
   * INVALID_PARTITION_ID, INVALID_VP_INDEX, UNKNOWN_REGISTER_NAME, INVALID_VP_STATE (a register of the processor's, while the VP
   * waits for no intercept).
   */
  readRegister(partition: number, vp: number, name: number, words: Int32Array, at: number): HvStatus
  /** Likewise; INVALID_REGISTER_VALUE, ACCESS_DENIED for one that can only be read. */
  writeRegister(
    partition: number,
    vp: number,
    name: number,
    words: Int32Array,
    at: number,
  ): HvStatus
}

/** A register and the partition and VP it belongs to. */
interface Row {
  read(partition: Partition, vp: RootVp, words: Int32Array, at: number): HvStatus
  write(partition: Partition, vp: RootVp, words: Int32Array, at: number): HvStatus
}

export class RegisterCalls implements RegisterCallTargets {
  readonly #partitions: PartitionTable

  constructor(partitions: PartitionTable) {
    this.#partitions = partitions
  }

  readRegister(id: number, vp: number, name: number, words: Int32Array, at: number): HvStatus {
    const partition = this.#partitions.get(id)
    if (partition === undefined) return HvStatus.INVALID_PARTITION_ID
    const target = partition.vps[vp]
    if (target === undefined) return HvStatus.INVALID_VP_INDEX
    words.fill(0, at, at + 4)
    return ROWS.get(name)?.read(partition, target, words, at) ?? HvStatus.UNKNOWN_REGISTER_NAME
  }

  writeRegister(id: number, vp: number, name: number, words: Int32Array, at: number): HvStatus {
    const partition = this.#partitions.get(id)
    if (partition === undefined) return HvStatus.INVALID_PARTITION_ID
    const target = partition.vps[vp]
    if (target === undefined) return HvStatus.INVALID_VP_INDEX
    return ROWS.get(name)?.write(partition, target, words, at) ?? HvStatus.UNKNOWN_REGISTER_NAME
  }
}

const R = HvRegister
const ROWS: ReadonlyMap<number, Row> = new Map<number, Row>([
  [
    R.EXPLICIT_SUSPEND,
    {
      read: (_, vp, words, at) => put(words, at, vp.isExplicitlySuspended ? 1 : 0, 0),
      write(partition, vp, words, at) {
        if (!isBit(words, at)) return HvStatus.INVALID_REGISTER_VALUE
        vp.setExplicitSuspend(words[at] === 1)
        partition.suspensionChanged(vp.index)
        return HvStatus.SUCCESS
      },
    },
  ],
  [
    R.INTERCEPT_SUSPEND,
    {
      read: (_, vp, words, at) => put(words, at, vp.intercept.isOpen ? 1 : 0, 0),
      write(_, vp, words, at) {
        // The VP alone suspends itself for an intercept.
        if (!isBit(words, at) || words[at] !== 0) return HvStatus.INVALID_REGISTER_VALUE
        return vp.completeIntercept() ? HvStatus.SUCCESS : HvStatus.INVALID_VP_STATE
      },
    },
  ],
  [
    R.PENDING_EVENT0,
    {
      read: (_, _vp, words, at) => put(words, at, 0, 0),
      write(_, vp, words, at) {
        const low = words[at]!
        if ((low & PENDING_EVENT_PENDING) === 0) return HvStatus.INVALID_REGISTER_VALUE
        const vector = low >>> PENDING_EVENT_VECTOR_SHIFT
        const errorCode = (low & PENDING_EVENT_HAS_ERROR_CODE) === 0 ? 0 : words[at + 1]!
        if (vector > 31) return HvStatus.INVALID_REGISTER_VALUE
        return vp.intercept.setException(vector, errorCode)
          ? HvStatus.SUCCESS
          : HvStatus.INVALID_VP_STATE
      },
    },
  ],
  [R.RAX, processorRegister(InterceptRegister.RAX)],
  [R.RBX, processorRegister(InterceptRegister.RBX)],
  [R.RCX, processorRegister(InterceptRegister.RCX)],
  [R.RDX, processorRegister(InterceptRegister.RDX)],
  [R.RSI, processorRegister(InterceptRegister.RSI)],
  [R.RDI, processorRegister(InterceptRegister.RDI)],
  [R.RIP, processorRegister(InterceptRegister.RIP)],
  [R.RFLAGS, processorRegister(InterceptRegister.RFLAGS)],
  [R.VP_INDEX, readOnly((_, vp, words, at) => put(words, at, vp.index, 0))],
  [R.GUEST_OS_ID, readOnly((partition, _, words, at) => putPair(words, at, partition.guestOsId))],
  [R.HYPERCALL, readOnly((partition, _, words, at) => putPair(words, at, partition.hypercallMsr))],
  [
    R.TIME_REF_COUNT,
    readOnly((partition, _, words, at) => {
      const time = partition.referenceTime
      return put(words, at, time % 2 ** 32, Math.floor(time / 2 ** 32))
    }),
  ],
])

/** A register of the processor's own: what goes with the intercept that the VP waits for. */
function processorRegister(register: InterceptRegister): Row {
  return {
    read(_, vp, words, at) {
      if (!vp.intercept.isOpen) return HvStatus.INVALID_VP_STATE
      return put(words, at, vp.intercept.low(register), vp.intercept.high(register))
    },
    write: (_, vp, words, at) =>
      vp.intercept.setRegister(register, words[at]!, words[at + 1]!)
        ? HvStatus.SUCCESS
        : HvStatus.INVALID_VP_STATE,
  }
}

function readOnly(read: Row['read']): Row {
  return { read, write: () => HvStatus.ACCESS_DENIED }
}

function put(words: Int32Array, at: number, low: number, high: number): HvStatus {
  words[at] = low
  words[at + 1] = high
  return HvStatus.SUCCESS
}

function putPair(
  words: Int32Array,
  at: number,
  value: { readonly low: number; readonly high: number },
): HvStatus {
  return put(words, at, value.low, value.high)
}

/** A register of one bit: 0 or 1, and nothing above. */
function isBit(words: Int32Array, at: number): boolean {
  return ((words[at]! >>> 1) | words[at + 1]! | words[at + 2]! | words[at + 3]!) === 0
}

interface Capabilities {
  readonly registers: RegisterCallTargets
}

const VTL_WORD: number = VpRegistersInput.at.targetVtl / 4
/** Word of the value within an element of HvCallSetVpRegisters. */
const VALUE_WORD = 4

/** Rows of this family. */
export const REGISTER_CALLS: readonly HypercallRow<Capabilities>[] = [
  {
    ...repCall('HvCallGetVpRegisters', 4, 16),
    privilege: HvPrivilege.ACCESS_VP_REGISTERS,
    invoke({ registers }, { input, output, elementWord, outputWord }) {
      if ((input[VTL_WORD]! & 0xff) !== 0) return HvStatus.INVALID_PARAMETER
      const name = input[elementWord]! >>> 0
      return registers.readRegister(
        partitionAt(input, 0),
        input[2]! >>> 0,
        name,
        output,
        outputWord,
      )
    },
  },
  {
    ...repCall('HvCallSetVpRegisters', 32),
    privilege: HvPrivilege.ACCESS_VP_REGISTERS,
    invoke({ registers }, { input, elementWord }) {
      if ((input[VTL_WORD]! & 0xff) !== 0) return HvStatus.INVALID_PARAMETER
      const name = input[elementWord]! >>> 0
      return registers.writeRegister(
        partitionAt(input, 0),
        input[2]! >>> 0,
        name,
        input,
        elementWord + VALUE_WORD,
      )
    },
  },
]
