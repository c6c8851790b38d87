// The root, calling its hypervisor: a struct goes into the input page, the elements of a rep call after it.

import { GuestMemory } from '@guestyard/guestmem'
import {
  CreateVpInput,
  HypercallTable,
  PAGE_SIZE,
  PartitionInput,
  SetPartitionPropertyInput,
  hypercallInputHigh,
  hypercallInputLow,
} from '@guestyard/hvdef'
import type { HypercallName } from '@guestyard/hvdef'
import assert from 'node:assert/strict'

import { HYPERCALL_CONTINUED, Hypervisor } from '../src/index.ts'
import type { HypervisorOptions, PartitionListener } from '../src/index.ts'
import { Bell, TestClock } from './guest.ts'

const INPUT: number = PAGE_SIZE
const OUTPUT: number = 2 * PAGE_SIZE

export class Root {
  readonly clock: TestClock = new TestClock()
  readonly hypervisor: Hypervisor
  readonly bells: Map<string, Bell> = new Map()
  /** VPs whose doorbells were closed, `partition.vp`. */
  readonly closed: string[] = []

  constructor(options: Partial<HypervisorOptions> = {}) {
    this.hypervisor = new Hypervisor({ clock: this.clock, ...options })
  }

  get view(): DataView {
    return this.hypervisor.root.memory.view
  }

  /** What the latest call wrote, from `at` on. */
  u32(at = 0): number {
    return this.view.getUint32(OUTPUT + at, true)
  }

  u64(at = 0): number {
    return Number(this.view.getBigUint64(OUTPUT + at, true))
  }

  /** Makes a call until it is done; the input block as bytes, elements included. */
  call(name: HypercallName, block: Uint8Array, reps = 0): number {
    const { root } = this.hypervisor
    root.memory.fill(INPUT, 0, PAGE_SIZE)
    root.memory.write(INPUT, block)
    const low = hypercallInputLow(HypercallTable[name].code, false)
    let high = hypercallInputHigh(reps, 0)
    let outcome = HYPERCALL_CONTINUED as number
    while (outcome === HYPERCALL_CONTINUED) {
      outcome = root.hypercall(low, high, INPUT, 0, OUTPUT, 0)
      high = root.continuedHigh
    }
    return outcome
  }

  /** A call about a partition and nothing else. */
  on(name: HypercallName, partition: number): number {
    return this.call(name, PartitionInput.pack({ partitionId: BigInt(partition) }))
  }

  create(): number {
    assert.equal(this.call('HvCallCreatePartition', new Uint8Array(56)), 0)
    return this.u64()
  }

  /** Deposits `count` pages that the machine still has. */
  deposit(partition: number, count: number): number {
    const pages = this.hypervisor.hostMemory.take(count)
    assert(pages !== undefined)
    return this.call('HvCallDepositMemory', list(8, [partition], pages), count)
  }

  set(partition: number, code: number, value: bigint): number {
    return this.call(
      'HvCallSetPartitionProperty',
      SetPartitionPropertyInput.pack({
        partitionId: BigInt(partition),
        propertyCode: code,
        propertyValue: value,
      }),
    )
  }

  /** RAM and doorbells behind a partition. */
  back(partition: number, pages = 64, listener?: PartitionListener): number {
    return this.hypervisor.back(partition, {
      memory: GuestMemory.create({ sizeBytes: pages * PAGE_SIZE }),
      openDoorbell: (vp) => {
        const bell = new Bell()
        this.bells.set(`${partition}.${vp}`, bell)
        return { wake: bell, buffer: null }
      },
      closeDoorbell: (vp) => this.closed.push(`${partition}.${vp}`),
      ...(listener === undefined ? {} : { listener }),
    })
  }

  createVp(partition: number, vpIndex: number): number {
    return this.call(
      'HvCallCreateVp',
      CreateVpInput.pack({
        partitionId: BigInt(partition),
        vpIndex,
        subnodeType: 0,
        subnodeId: 0n,
        proximityDomain: 0n,
        flags: 0n,
      }),
    )
  }

  /** An active partition with RAM behind it, none of it mapped, and pages to spare in its pool. */
  active(listener?: PartitionListener): number {
    const id = this.create()
    assert.equal(this.deposit(id, 128), 0)
    assert.equal(this.on('HvCallInitializePartition', id), 0)
    assert.equal(this.back(id, 64, listener), 0)
    return id
  }
}

/** A block of u64s, padded with zeros to `headerBytes`, and a list of u64s after it. */
export function list(
  headerBytes: number,
  header: readonly (number | bigint)[],
  elements: readonly (number | bigint)[],
): Uint8Array {
  const block = new Uint8Array(headerBytes + elements.length * 8)
  const view = new DataView(block.buffer)
  header.forEach((value, i) => view.setBigUint64(i * 8, BigInt(value), true))
  elements.forEach((value, i) => view.setBigUint64(headerBytes + i * 8, BigInt(value), true))
  return block
}
