// Calls that are about several VPs of the caller's own partition: flushes, interrupts to a set, and the start of one. A set is a
// mask of 64 in the older calls and banks of 64 in the newer (TLFS, "Sparse Virtual Processor Sets"); a partition has at
// most 64 VPs, so that bank 0 says it all and bits of others name nobody.

import { HvPrivilege, HvStatus, StartVirtualProcessorInput } from '@guestyard/hvdef'
import type { HypercallName } from '@guestyard/hvdef'

import { HYPERCALL_CONTINUED, repCall, simpleCall } from './hypercalls.ts'
import type { HypercallBlocks, HypercallOutcome, HypercallRow } from './hypercalls.ts'

/** What these calls may use. */
export interface SeveralVps {
  readonly partitionId: number
  /** Interrupts the VPs of a mask. `vector` is 16 to 255. */
  sendToMask(low: number, high: number, vector: number): void
  /** True when the translations of the VPs of a mask are flushed; false: make the call again. */
  flushMask(low: number, high: number): boolean
  /** Starts a VP with 56 words of context from word `at` on. */
  startVp(vp: number, context: Int32Array, at: number): HvStatus
}

const FLUSH_ALL_VPS = 1
/** 1 all VPs, 2 all address spaces, 4 non-global only, 8 extended ranges. */
const FLUSH_FLAGS_RESERVED: number = ~0xf
const VP_SET_SPARSE = 0
const VP_SET_ALL = 1
const VECTOR_MIN = 16
const VECTOR_MAX = 255
/** Words of the blocks: flags and mask of a flush; vector, VTL and mask of an interrupt; of a VP set. */
const [FLUSH_FLAGS, FLUSH_MASK, FLUSH_SET] = [2, 4, 4]
const [IPI_VECTOR, IPI_VTL, IPI_MASK, IPI_SET] = [0, 1, 2, 2]
const CONTEXT_WORD: number = StartVirtualProcessorInput.at.vpContext / 4

/** The set of the latest call: a mask of bank 0. Calls of one thread do not overlap. */
const set = { low: 0, high: 0 }

export const SEVERAL_VP_CALLS: readonly HypercallRow<SeveralVps>[] = [
  { ...simpleCall('HvCallFlushVirtualAddressSpace'), privilege: null, invoke: flush },
  // The ranges of a list are all flushed with the first: what is flushed beyond them costs only time.
  {
    ...repCall('HvCallFlushVirtualAddressList', 8),
    privilege: null,
    invoke: (vps, blocks) => (blocks.element === 0 ? flush(vps, blocks) : HvStatus.SUCCESS),
  },
  {
    ...withSet('HvCallFlushVirtualAddressSpaceEx'),
    privilege: null,
    invoke: flushEx,
  },
  {
    ...repCall('HvCallFlushVirtualAddressListEx', 8),
    variableHeader: true,
    privilege: null,
    invoke: (vps, blocks) => (blocks.element === 0 ? flushEx(vps, blocks) : HvStatus.SUCCESS),
  },
  {
    ...simpleCall('HvCallSendSyntheticClusterIpi'),
    privilege: null,
    invoke(vps, { input }) {
      set.low = input[IPI_MASK]!
      set.high = input[IPI_MASK + 1]!
      return interrupt(vps, input)
    },
  },
  {
    ...withSet('HvCallSendSyntheticClusterIpiEx'),
    privilege: null,
    invoke(vps, blocks) {
      const status = readSet(blocks, IPI_SET)
      return status === HvStatus.SUCCESS ? interrupt(vps, blocks.input) : status
    },
  },
  {
    ...simpleCall('HvCallStartVirtualProcessor'),
    privilege: HvPrivilege.START_VIRTUAL_PROCESSOR,
    invoke(vps, { input }) {
      if (!isOwn(input, vps.partitionId)) return HvStatus.ACCESS_DENIED
      // Byte 12: the VTL. There is none above 0.
      if ((input[3]! & 0xff) !== 0) return HvStatus.INVALID_PARAMETER
      return vps.startVp(input[2]! >>> 0, input, CONTEXT_WORD)
    },
  },
]

function withSet(name: HypercallName) {
  return { ...simpleCall(name), variableHeader: true }
}

function flush(vps: SeveralVps, { input }: HypercallBlocks): HypercallOutcome {
  set.low = input[FLUSH_MASK]!
  set.high = input[FLUSH_MASK + 1]!
  // Windows asks so when it means all.
  if ((set.low | set.high) === 0) set.low = set.high = -1
  return flushSet(vps, input)
}

function flushEx(vps: SeveralVps, blocks: HypercallBlocks): HypercallOutcome {
  const status = readSet(blocks, FLUSH_SET)
  return status === HvStatus.SUCCESS ? flushSet(vps, blocks.input) : status
}

function flushSet(vps: SeveralVps, input: Int32Array): HypercallOutcome {
  const flags = input[FLUSH_FLAGS]!
  if ((flags & FLUSH_FLAGS_RESERVED) !== 0 || input[FLUSH_FLAGS + 1] !== 0) {
    return HvStatus.INVALID_PARAMETER
  }
  const all = (flags & FLUSH_ALL_VPS) !== 0
  return vps.flushMask(all ? -1 : set.low, all ? -1 : set.high)
    ? HvStatus.SUCCESS
    : HYPERCALL_CONTINUED
}

function interrupt(vps: SeveralVps, input: Int32Array): HvStatus {
  const vector = input[IPI_VECTOR]! >>> 0
  if (vector < VECTOR_MIN || vector > VECTOR_MAX) return HvStatus.INVALID_PARAMETER
  if ((input[IPI_VTL]! & 0xff) !== 0) return HvStatus.INVALID_PARAMETER
  vps.sendToMask(set.low, set.high, vector)
  return HvStatus.SUCCESS
}

/**
 * The VP set at word `at`: format and valid banks, u64 each; the banks are the variable header. INVALID_PARAMETER for a format
 * that there is not, INVALID_HYPERCALL_INPUT for another number of banks than are said to be valid.
 */
function readSet(blocks: HypercallBlocks, at: number): HvStatus {
  const { input } = blocks
  const format = input[at]!
  const banksLow = input[at + 2]!
  const banks = bitCount(banksLow) + bitCount(input[at + 3]!)
  if ((format !== VP_SET_SPARSE && format !== VP_SET_ALL) || input[at + 1] !== 0) {
    return HvStatus.INVALID_PARAMETER
  }
  if (banks !== blocks.variableQwords) return HvStatus.INVALID_HYPERCALL_INPUT
  if (format === VP_SET_ALL) {
    set.low = set.high = -1
  } else {
    const hasFirst = (banksLow & 1) === 1
    set.low = hasFirst ? input[blocks.variableWord]! : 0
    set.high = hasFirst ? input[blocks.variableWord + 1]! : 0
  }
  return HvStatus.SUCCESS
}

function bitCount(word: number): number {
  let left = word
  let count = 0
  for (; left !== 0; count++) left &= left - 1
  return count
}

/** True when the partition id that begins the input is "self" or the caller's own. */
export function isOwn(input: Int32Array, partitionId: number): boolean {
  const low = input[0]!
  const high = input[1]!
  if (low === -1 && high === -1) return true
  return low >>> 0 === partitionId % 2 ** 32 && high >>> 0 === Math.floor(partitionId / 2 ** 32)
}
