// HOT (hypercall)
// The root partition's virtual processor: how the root calls the hypervisor. As any partition it writes the blocks of a call into
// pages of its own RAM and executes the call; what it may do beyond a child is in its privileges and its rows. Its hypercall
// page is there from the start. Root's thread only.

import { GuestMemory, WASM_PAGE_SIZE } from '@guestyard/guestmem'
import { HvPrivilege, HvStatus, privilegeMask } from '@guestyard/hvdef'
import type { PrivilegeMask } from '@guestyard/hvdef'
import { TraceKind, type Trace } from '@guestyard/trace'

import type { HypercallInspection } from './hypercall-counters.ts'
import { HypercallDispatch } from './hypercalls.ts'
import { ROOT_PARTITION_ID } from './partition-table.ts'
import type { PortTable } from './port-table.ts'
import { ROOT_CALLS } from './root-calls/root-table.ts'
import type { RootCapabilities } from './root-calls/root-table.ts'
import type { SharedCapabilities } from './vp-calls.ts'
import { traceAnswer } from './vp-trace.ts'

/** Everything that there is. */
export const ROOT_PRIVILEGES: PrivilegeMask = privilegeMask(Object.values(HvPrivilege))

export class RootProcessor {
  /** The root's own RAM, for the blocks of its calls: one WebAssembly page. */
  readonly memory: GuestMemory = GuestMemory.create({ sizeBytes: WASM_PAGE_SIZE })
  readonly #dispatch: HypercallDispatch<RootCapabilities>
  trace: Trace | null = null

  constructor(capabilities: RootCapabilities) {
    this.#dispatch = new HypercallDispatch(ROOT_CALLS, ROOT_PRIVILEGES, this.memory, capabilities)
  }

  /** Elements done by the latest hypercall, when it was a rep call. */
  get repsCompleted(): number {
    return this.#dispatch.repsCompleted
  }

  /** After HYPERCALL_CONTINUED: the upper half of the input value to make the call with again. */
  get continuedHigh(): number {
    return this.#dispatch.continuedHigh
  }

  /** As VirtualProcessor.hypercall. HOT. */
  hypercall(
    inLow: number,
    inHigh: number,
    p0Low: number,
    p0High: number,
    p1Low: number,
    p1High: number,
  ): number {
    if (this.trace === null) {
      return this.#dispatch.call(inLow, inHigh, p0Low, p0High, p1Low, p1High)
    }
    const before = this.trace.begin(TraceKind.HYPERCALL, inLow & 0xffff, p0Low)
    const status = this.#dispatch.call(inLow, inHigh, p0Low, p0High, p1Low, p1High)
    traceAnswer(this.trace, before, inLow & 0xffff, status)
    return status
  }

  /** As VirtualProcessor.hypercallWithRegisters. */
  hypercallWithRegisters(inLow: number, inHigh: number, registers: Int32Array): number {
    return this.#dispatch.callWithRegisters(inLow, inHigh, registers)
  }

  /** Plain data: what was called, and what was refused. */
  inspect(): HypercallInspection {
    return this.#dispatch.counters.inspect()
  }
}

/** What the calls that the root shares with its children do when the root makes them. Its partition has one VP, VP 0. */
export class RootCaller implements SharedCapabilities {
  readonly partitionId: number = ROOT_PARTITION_ID
  readonly #ports: PortTable
  longSpinWaits = 0

  constructor(ports: PortTable) {
    this.#ports = ports
  }

  postMessage(
    connection: number,
    type: number,
    size: number,
    payload: Int32Array,
    payloadAt: number,
  ): HvStatus {
    return this.#ports.postMessage(connection, type, size, payload, payloadAt)
  }

  signalEvent(connection: number, flag: number): HvStatus {
    return this.#ports.signalEvent(connection, flag)
  }

  notifyLongSpinWait(_spinCount: number): void {
    this.longSpinWaits++
  }

  /** The root has no guest code that a vector could interrupt. */
  sendToMask(_low: number, _high: number, _vector: number): void {}

  /** Nor any translations that it caches. */
  flushMask(_low: number, _high: number): boolean {
    return true
  }

  startVp(vp: number, _context: Int32Array, _at: number): HvStatus {
    return vp === 0 ? HvStatus.INVALID_VP_STATE : HvStatus.INVALID_VP_INDEX
  }
}
