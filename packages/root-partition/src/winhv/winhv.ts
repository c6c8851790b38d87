// HOT (signalEventDirect)
// WinHv: the root partition's call library. One method a call, in Hyper-V's words; each writes the call's blocks into the root's
// pages and makes it. A call that is INSUFFICIENT_MEMORY on behalf of a partition is made again after pages were deposited for it,
// as long as the machine has any. Nothing of the root's goes to the hypervisor past it but what no call carries: what stands
// behind a port, and the machine's free pages. Root thread only.

import {
  AssertVirtualInterruptInput,
  ConnectPortInput,
  CreatePartitionInput,
  CreatePortInput,
  CreateVpInput,
  DeleteVpInput,
  GetNextChildPartitionInput,
  GetPartitionPropertyInput,
  HvPortType,
  HvRegister,
  HvStatus,
  HypercallCode,
  InstallInterceptInput,
  MapGpaPagesInput,
  MemoryBalanceInput,
  PAGE_SIZE,
  PortInput,
  PostMessageDirectInput,
  RegisterAssoc,
  SetPartitionPropertyInput,
  UnmapGpaPagesInput,
  VMBUS_SINT,
  VpRegistersInput,
  portId as asPortId,
  type HypercallName,
} from '@guestyard/hvdef'
import {
  ROOT_PARTITION_ID,
  type Hypervisor,
  type MemoryBalance,
  type MessageHandler,
  type SignalHandler,
} from '@guestyard/hypervisor'

import { CallPage, INPUT_GPA, OUTPUT_GPA } from './call-page.ts'

/** Pages that one retry deposits: enough for any object of the hypervisor's. */
const DEPOSIT_PAGES = 64
/** Times that a call is made again after a deposit. */
const RETRIES_MAX = 8
/** Pages in the list of one call: 8 bytes each, behind the largest header of a call that has such a list. */
export const PAGE_LIST_MAX: number = Math.floor((PAGE_SIZE - MapGpaPagesInput.size) / 8)

const EMPTY_INFO = new Uint8Array(24)
const PAYLOAD = PostMessageDirectInput.at.message + 16
const MESSAGE = PostMessageDirectInput.at.message

/** A register's value as two u64 halves, of which the root sets the lower. */
export interface RegisterValue {
  readonly low: number
  readonly high: number
}

export class WinHv {
  readonly #page: CallPage
  readonly #hypervisor: Hypervisor
  /** Id of the latest partition that was created. */
  created = 0
  /** Deposits that a retry needed. */
  deposits = 0

  constructor(hypervisor: Hypervisor) {
    this.#hypervisor = hypervisor
    this.#page = new CallPage(hypervisor.root)
  }

  /** HvCallCreatePartition. The id is in `created`. */
  createPartition(): HvStatus {
    CreatePartitionInput.encode(this.#page.view, INPUT_GPA, {
      flags: 0n,
      proximityDomain: 0n,
      compatibilityVersion: 0,
      disabledProcessorFeatures: new Uint8Array(16),
      disabledXsaveFeatures: 0n,
      isolation: 0n,
    })
    const status = this.#page.execute('HvCallCreatePartition')
    if (status === HvStatus.SUCCESS) this.created = this.#page.u64(0)
    return status
  }

  /** HvCallInitializePartition. Deposits. */
  initializePartition(partition: number): HvStatus {
    return this.#depositing(partition, () =>
      this.#onPartition('HvCallInitializePartition', partition),
    )
  }

  /** HvCallFinalizePartition. */
  finalizePartition(partition: number): HvStatus {
    return this.#onPartition('HvCallFinalizePartition', partition)
  }

  /** HvCallDeletePartition. */
  deletePartition(partition: number): HvStatus {
    return this.#onPartition('HvCallDeletePartition', partition)
  }

  /** HvCallGetNextChildPartition, from 0 until it answers 0. Every child's id. */
  children(): number[] {
    const ids: number[] = []
    for (let previous = 0; ; previous = ids[ids.length - 1]!) {
      GetNextChildPartitionInput.encode(this.#page.view, INPUT_GPA, {
        parentId: BigInt(ROOT_PARTITION_ID),
        previousChildId: BigInt(previous),
      })
      const status = this.#page.execute('HvCallGetNextChildPartition')
      const next = this.#page.u64(0)
      if (status !== HvStatus.SUCCESS || next === 0) return ids
      ids.push(next)
    }
  }

  /** HvCallSetPartitionProperty. `code`: HvPartitionProperty. */
  setPartitionProperty(partition: number, code: number, value: number | bigint): HvStatus {
    SetPartitionPropertyInput.encode(this.#page.view, INPUT_GPA, {
      partitionId: BigInt(partition),
      propertyCode: code,
      propertyValue: BigInt(value),
    })
    return this.#page.execute('HvCallSetPartitionProperty')
  }

  /** HvCallGetPartitionProperty. Undefined for anything but SUCCESS. */
  partitionProperty(partition: number, code: number): number | undefined {
    GetPartitionPropertyInput.encode(this.#page.view, INPUT_GPA, {
      partitionId: BigInt(partition),
      propertyCode: code,
    })
    const status = this.#page.execute('HvCallGetPartitionProperty')
    return status === HvStatus.SUCCESS ? this.#page.u64(0) : undefined
  }

  /** HvCallDepositMemory, of pages that the machine still has. INSUFFICIENT_MEMORY: it has not as many. */
  depositMemory(partition: number, count: number): HvStatus {
    const pages = this.#hypervisor.hostMemory.take(count)
    if (pages === undefined) return HvStatus.INSUFFICIENT_MEMORY
    for (let at = 0; at < count; at += PAGE_LIST_MAX) {
      const list = pages.slice(at, at + PAGE_LIST_MAX)
      this.#page.putU64(0, partition)
      this.#page.putList(8, list)
      const status = this.#page.execute('HvCallDepositMemory', list.length)
      if (status !== HvStatus.SUCCESS) {
        for (const page of pages.slice(at + this.#page.repsCompleted)) {
          this.#hypervisor.hostMemory.giveBack(page)
        }
        return status
      }
    }
    return HvStatus.SUCCESS
  }

  /** HvCallWithdrawMemory until nothing is left; the pages are the machine's again. How many. */
  withdrawMemory(partition: number): number {
    let withdrawn = 0
    for (;;) {
      MemoryBalanceInput.encode(this.#page.view, INPUT_GPA, {
        partitionId: BigInt(partition),
        proximityDomain: 0n,
      })
      const status = this.#page.execute('HvCallWithdrawMemory', PAGE_LIST_MAX)
      const count = this.#page.repsCompleted
      for (let index = 0; index < count; index++) {
        this.#hypervisor.hostMemory.giveBack(this.#page.u64(index * 8))
      }
      withdrawn += count
      if (status !== HvStatus.SUCCESS) return withdrawn
    }
  }

  /** HvCallGetMemoryBalance. Undefined for anything but SUCCESS. */
  memoryBalance(partition: number): MemoryBalance | undefined {
    MemoryBalanceInput.encode(this.#page.view, INPUT_GPA, {
      partitionId: BigInt(partition),
      proximityDomain: 0n,
    })
    if (this.#page.execute('HvCallGetMemoryBalance') !== HvStatus.SUCCESS) return undefined
    return { available: this.#page.u64(0), inUse: this.#page.u64(8) }
  }

  /**
   * HvCallMapGpaPages: one machine page for each GPA page from `gpaPage` on, at most PAGE_LIST_MAX; with LARGE_PAGE in `flags`, the
   * first page of each large one. Deposits.
   */
  mapGpaPages(
    partition: number,
    gpaPage: number,
    hostPages: readonly number[],
    flags: number,
  ): HvStatus {
    return this.#depositing(partition, () => {
      MapGpaPagesInput.encode(this.#page.view, INPUT_GPA, {
        targetPartitionId: BigInt(partition),
        targetGpaBase: BigInt(gpaPage),
        mapFlags: flags,
      })
      this.#page.putList(MapGpaPagesInput.size, hostPages)
      return this.#page.execute('HvCallMapGpaPages', hostPages.length)
    })
  }

  /** HvCallUnmapGpaPages: `count` pages, or large pages, 1 to 4095. */
  unmapGpaPages(partition: number, gpaPage: number, count: number, flags: number): HvStatus {
    UnmapGpaPagesInput.encode(this.#page.view, INPUT_GPA, {
      targetPartitionId: BigInt(partition),
      targetGpaBase: BigInt(gpaPage),
      unmapFlags: flags,
    })
    return this.#page.execute('HvCallUnmapGpaPages', count)
  }

  /** HvCallInstallIntercept. `type`: HvInterceptType; `access`: HvInterceptAccess, 0 takes it away. */
  installIntercept(partition: number, type: number, access: number, parameter: number): HvStatus {
    InstallInterceptInput.encode(this.#page.view, INPUT_GPA, {
      partitionId: BigInt(partition),
      accessMask: access,
      interceptType: type,
      interceptParameter: BigInt(parameter),
    })
    return this.#page.execute('HvCallInstallIntercept')
  }

  /** HvCallCreateVp. Deposits. */
  createVp(partition: number, vpIndex: number): HvStatus {
    return this.#depositing(partition, () => {
      CreateVpInput.encode(this.#page.view, INPUT_GPA, {
        partitionId: BigInt(partition),
        vpIndex,
        subnodeType: 0,
        subnodeId: 0n,
        proximityDomain: 0n,
        flags: 0n,
      })
      return this.#page.execute('HvCallCreateVp')
    })
  }

  /** HvCallDeleteVp. */
  deleteVp(partition: number, vpIndex: number): HvStatus {
    DeleteVpInput.encode(this.#page.view, INPUT_GPA, { partitionId: BigInt(partition), vpIndex })
    return this.#page.execute('HvCallDeleteVp')
  }

  /** HvCallSetVpRegisters of one register. `name`: HvRegister. */
  setVpRegister(
    partition: number,
    vpIndex: number,
    name: number,
    low: number,
    high: number,
  ): HvStatus {
    this.#registersHeader(partition, vpIndex)
    const at = INPUT_GPA + VpRegistersInput.size
    const { view } = this.#page
    for (let byte = 0; byte < RegisterAssoc.size; byte += 4) view.setUint32(at + byte, 0, true)
    view.setUint32(at, name, true)
    view.setUint32(at + RegisterAssoc.at.value, low, true)
    view.setUint32(at + RegisterAssoc.at.value + 4, high, true)
    return this.#page.execute('HvCallSetVpRegisters', 1)
  }

  /** HvCallGetVpRegisters of one register: its lower 64 bits. Undefined for anything but SUCCESS. */
  vpRegister(partition: number, vpIndex: number, name: number): RegisterValue | undefined {
    this.#registersHeader(partition, vpIndex)
    this.#page.view.setUint32(INPUT_GPA + VpRegistersInput.size, name, true)
    if (this.#page.execute('HvCallGetVpRegisters', 1) !== HvStatus.SUCCESS) return undefined
    const { view } = this.#page
    return { low: view.getUint32(OUTPUT_GPA, true), high: view.getUint32(OUTPUT_GPA + 4, true) }
  }

  /** The VP runs guest code, or stops: the register ExplicitSuspend. */
  setExplicitSuspend(partition: number, vpIndex: number, suspended: boolean): HvStatus {
    const value = suspended ? 1 : 0
    return this.setVpRegister(partition, vpIndex, HvRegister.EXPLICIT_SUSPEND, value, 0)
  }

  /** HvCallCreatePort, a message port of the root's, and what receives its messages. Deposits. */
  createMessagePort(portId: number, connecting: number, handler: MessageHandler): HvStatus {
    const status = this.#createPort(portId, connecting, HvPortType.MESSAGE, 0)
    if (status !== HvStatus.SUCCESS) return status
    return this.#hypervisor.bindMessages(asPortId(portId), handler)
  }

  /** HvCallCreatePort, an event port of the root's with `flagCount` flags, and what receives its signals. Deposits. */
  createEventPort(
    portId: number,
    connecting: number,
    flagCount: number,
    handler: SignalHandler,
  ): HvStatus {
    const status = this.#createPort(portId, connecting, HvPortType.EVENT, flagCount)
    if (status !== HvStatus.SUCCESS) return status
    return this.#hypervisor.bindSignals(asPortId(portId), handler)
  }

  /** HvCallDeletePort, of a port of the root's. */
  deletePort(portId: number): HvStatus {
    return this.#onPort('HvCallDeletePort', ROOT_PARTITION_ID, portId)
  }

  /** HvCallConnectPort: a child's handle of a port of the root's. `type`: HvPortType. Deposits. */
  connectPort(partition: number, connectionId: number, portId: number, type: number): HvStatus {
    return this.#depositing(partition, () => {
      ConnectPortInput.encode(this.#page.view, INPUT_GPA, {
        connectionPartitionId: BigInt(partition),
        connectionId,
        connectionVtl: 0,
        portPartitionId: BigInt(ROOT_PARTITION_ID),
        portId,
        connectionType: type,
        connectionInfo: EMPTY_INFO,
        proximityDomain: 0n,
      })
      return this.#page.execute('HvCallConnectPort')
    })
  }

  /** HvCallDisconnectPort. */
  disconnectPort(partition: number, connectionId: number): HvStatus {
    return this.#onPort('HvCallDisconnectPort', partition, connectionId)
  }

  /** HvCallSignalEventDirect, fast: event flag `flag` of a VP's SINT. HOT. */
  signalEventDirect(partition: number, vp: number, sint: number, flag: number): HvStatus {
    return this.#page.executeFast(
      HypercallCode.SIGNAL_EVENT_DIRECT,
      partition | 0,
      (partition / 2 ** 32) | 0,
      vp,
      (sint << 8) | (flag << 16),
    )
  }

  /** HvCallPostMessageDirect: `length` bytes (0 to 240) of `payload` for a VP's SINT. */
  postMessageDirect(
    partition: number,
    vp: number,
    sint: number,
    type: number,
    payload: Uint8Array,
    length: number,
    sender: number,
  ): HvStatus {
    const { view } = this.#page
    this.#page.putU64(0, partition)
    view.setUint32(INPUT_GPA + 8, vp, true)
    view.setUint32(INPUT_GPA + 12, sint << 8, true)
    view.setUint32(INPUT_GPA + MESSAGE, type, true)
    view.setUint32(INPUT_GPA + MESSAGE + 4, length, true)
    this.#page.putU64(MESSAGE + 8, sender)
    for (let at = 0; at < length; at++) view.setUint8(INPUT_GPA + PAYLOAD + at, payload[at]!)
    return this.#page.execute('HvCallPostMessageDirect')
  }

  /** HvCallAssertVirtualInterrupt. `destination`: an APIC id; `flags`: ASSERT_LEVEL_TRIGGERED and its like. */
  assertVirtualInterrupt(
    partition: number,
    interruptType: number,
    flags: number,
    destination: number,
    vector: number,
  ): HvStatus {
    AssertVirtualInterruptInput.encode(this.#page.view, INPUT_GPA, {
      partitionId: BigInt(partition),
      interruptType,
      flags,
      destination: BigInt(destination),
      vector,
      targetVtl: 0,
    })
    return this.#page.execute('HvCallAssertVirtualInterrupt')
  }

  #createPort(portId: number, connecting: number, portType: number, flagCount: number): HvStatus {
    return this.#depositing(ROOT_PARTITION_ID, () => {
      CreatePortInput.encode(this.#page.view, INPUT_GPA, {
        portPartitionId: BigInt(ROOT_PARTITION_ID),
        portId,
        portVtl: 0,
        minConnectionVtl: 0,
        connectionPartitionId: BigInt(connecting),
        portInfo: {
          portType,
          padding: 0,
          targetSint: VMBUS_SINT,
          targetVp: 0,
          baseFlagNumber: 0,
          flagCount,
          reserved: 0,
        },
        proximityDomain: 0n,
      })
      return this.#page.execute('HvCallCreatePort')
    })
  }

  #onPartition(name: HypercallName, partition: number): HvStatus {
    this.#page.putU64(0, partition)
    return this.#page.execute(name)
  }

  #onPort(name: HypercallName, partition: number, id: number): HvStatus {
    PortInput.encode(this.#page.view, INPUT_GPA, { partitionId: BigInt(partition), id })
    return this.#page.execute(name)
  }

  #registersHeader(partition: number, vpIndex: number): void {
    this.#page.putU64(0, partition)
    this.#page.view.setUint32(INPUT_GPA + 8, vpIndex, true)
    this.#page.view.setUint32(INPUT_GPA + 12, 0, true)
  }

  /** Makes a call on a partition, again after a deposit for each INSUFFICIENT_MEMORY, until the machine has no more. */
  #depositing(partition: number, call: () => HvStatus): HvStatus {
    let status = call()
    for (let retry = 0; retry < RETRIES_MAX; retry++) {
      if (status !== HvStatus.INSUFFICIENT_MEMORY) return status
      if (this.depositMemory(partition, DEPOSIT_PAGES) !== HvStatus.SUCCESS) return status
      this.deposits++
      status = call()
    }
    return status
  }
}
