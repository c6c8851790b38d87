// A hypervisor with one partition and its VPs in a single thread, and the steps a guest takes to switch its SynIC on.

import assert from 'node:assert/strict'

import { GuestMemory } from '@guestyard/guestmem'
import {
  HVCALL_POST_MESSAGE,
  HVCALL_SIGNAL_EVENT,
  PAGE_SIZE,
  PostMessageInput,
  SyntheticMsr,
  connectionId,
  hypercallInputLow,
  portId,
} from '@guestyard/hvdef'
import type { ConnectionId, PortId, PrivilegeMask } from '@guestyard/hvdef'

import { Hypervisor, ROOT_PARTITION_ID, VirtualProcessor } from '../src/index.ts'
import type {
  MessageHandler,
  Partition,
  PartitionListener,
  SignalHandler,
  VirtualProcessorOptions,
} from '../src/index.ts'

export const RAM_BYTES = 256 * 1024
/** Guest pages by use. Every VP has its own SIM and SIEF. */
export const HYPERCALL_PAGE = 1
export const INPUT_PAGE = 2
const FIRST_SYNIC_PAGE = 4
export const SINT = 2
export const VECTOR = 0xf3
const GUEST_OS_ID_HIGH = 0x8100_0000

/** Counts rings. */
export class Bell {
  rings = 0

  ring(): void {
    this.rings++
  }
}

export class TestClock {
  now100ns = 1000

  get nowMs(): number {
    return this.now100ns / 10_000
  }
}

export class Guest {
  readonly clock: TestClock = new TestClock()
  readonly memory: GuestMemory = GuestMemory.create({ sizeBytes: RAM_BYTES })
  readonly hypervisor: Hypervisor = new Hypervisor({ clock: this.clock })
  readonly rootBell: Bell = new Bell()
  readonly vpBells: Bell[]
  readonly partition: Partition
  readonly vps: VirtualProcessor[]

  constructor(
    options: {
      vpCount?: number
      privileges?: PrivilegeMask
      listener?: PartitionListener
      vp?: (vp: number) => Partial<VirtualProcessorOptions>
    } = {},
  ) {
    const vpCount = options.vpCount ?? 1
    this.vpBells = Array.from({ length: vpCount }, () => new Bell())
    const created = this.hypervisor.createPartition({
      memory: this.memory,
      vpCount,
      wakeVp: this.vpBells,
      ...(options.privileges === undefined ? {} : { privileges: options.privileges }),
      ...(options.listener === undefined ? {} : { listener: options.listener }),
    })
    assert(created.ok)
    this.partition = created.partition
    for (const bell of this.vpBells) bell.rings = 0
    this.vps = Array.from({ length: vpCount }, (_, vp) => {
      const handles = structuredCloneable(this.partition.handlesFor(vp))
      return new VirtualProcessor(handles, {
        memory: this.memory,
        wakeRoot: this.rootBell,
        clock: this.clock,
        wakeVps: this.vpBells,
        ...options.vp?.(vp),
      })
    })
  }

  /** VP 0. */
  get vp(): VirtualProcessor {
    return this.vps[0]!
  }

  simGpa(vp = 0): number {
    return (FIRST_SYNIC_PAGE + vp * 2) * PAGE_SIZE
  }

  siefGpa(vp = 0): number {
    return (FIRST_SYNIC_PAGE + vp * 2 + 1) * PAGE_SIZE
  }

  /** Guest OS id, hypercall page, SIM, SIEF, SINT2 and the controller, in Linux's order. */
  boot(sintLow = VECTOR): this {
    this.enableHypercalls()
    this.vps.forEach((vp, index) => {
      assert(vp.writeMsr(SyntheticMsr.SIMP, this.simGpa(index) | 1, 0))
      assert(vp.writeMsr(SyntheticMsr.SIEFP, this.siefGpa(index) | 1, 0))
      assert(vp.writeMsr(SyntheticMsr.SINT0 + SINT, sintLow, 0))
      assert(vp.writeMsr(SyntheticMsr.SCONTROL, 1, 0))
    })
    return this
  }

  enableHypercalls(): void {
    assert(this.vp.writeMsr(SyntheticMsr.GUEST_OS_ID, 1, GUEST_OS_ID_HIGH))
    assert(this.vp.writeMsr(SyntheticMsr.HYPERCALL, (HYPERCALL_PAGE * PAGE_SIZE) | 1, 0))
  }

  /** Hypercalls alone, without a SynIC for anybody. */
  enabled(): this {
    this.enableHypercalls()
    return this
  }

  /** A message port of the root's, connected to this partition. */
  messagePort(id: number, handler: MessageHandler): { port: PortId; connection: ConnectionId } {
    const names = { port: portId(id), connection: connectionId(id) }
    const owner = ROOT_PARTITION_ID
    const connectionPartition = this.partition.id
    assert.equal(
      this.hypervisor.createMessagePort({
        owner,
        portId: names.port,
        connectionPartition,
        target: handler,
      }),
      0,
    )
    assert.equal(this.hypervisor.connectPort(connectionPartition, names.connection, names.port), 0)
    return names
  }

  /** An event port of the root's, connected to this partition. */
  eventPort(
    id: number,
    flagCount: number,
    handler: SignalHandler,
  ): { port: PortId; connection: ConnectionId } {
    const names = { port: portId(id), connection: connectionId(id) }
    const owner = ROOT_PARTITION_ID
    const connectionPartition = this.partition.id
    const options = { owner, portId: names.port, connectionPartition, flagCount, target: handler }
    assert.equal(this.hypervisor.createEventPort(options), 0)
    assert.equal(this.hypervisor.connectPort(connectionPartition, names.connection, names.port), 0)
    return names
  }

  /** HvCallPostMessage through the input page. */
  post(connection: number, type: number, payload: Uint8Array, vp = 0): number {
    const gpa = INPUT_PAGE * PAGE_SIZE
    PostMessageInput.encode(this.memory.view, gpa, {
      connectionId: connection,
      messageType: type,
      payloadSize: payload.length,
      payload: padded(payload, 240),
    })
    return this.vps[vp]!.hypercall(hypercallInputLow(HVCALL_POST_MESSAGE, false), 0, gpa, 0, 0, 0)
  }

  /** HvCallSignalEvent, fast. */
  signal(connection: number, flag = 0, vp = 0): number {
    return this.vps[vp]!.hypercall(
      hypercallInputLow(HVCALL_SIGNAL_EVENT, true),
      0,
      connection,
      flag,
      0,
      0,
    )
  }

  /** What a guest does with a message: its type and payload, slot freed, EOM if asked for. Undefined for an empty slot. */
  takeMessage(
    sint = SINT,
    vp = 0,
  ): { type: number; payload: Uint8Array; eom: boolean } | undefined {
    const slot = this.simGpa(vp) + sint * 256
    const word = slot / 4
    const type = Atomics.load(this.memory.i32, word) >>> 0
    if (type === 0) return undefined
    const size = this.memory.u8[slot + 4]!
    const payload = this.memory.u8.slice(slot + 16, slot + 16 + size)
    Atomics.store(this.memory.i32, word, 0)
    const eom = (this.memory.u8[slot + 5]! & 1) !== 0
    if (eom) assert(this.vps[vp]!.writeMsr(SyntheticMsr.EOM, 0, 0))
    return { type, payload, eom }
  }

  /** Takes the interrupt that `deliver` offers, and ends it. */
  takeInterrupt(vp = 0): number {
    const target = this.vps[vp]!
    const vector = target.deliver()
    if (vector >= 0) {
      assert(target.acknowledge(vector))
      target.endOfInterrupt()
    }
    return vector
  }

  /** Word of the SIEF page that holds `flag`. */
  eventWord(flag: number, sint = SINT, vp = 0): number {
    return this.memory.i32[(this.siefGpa(vp) + sint * 256) / 4 + (flag >>> 5)]!
  }
}

/** A message handler that keeps what it gets. */
export class Mailbox implements MessageHandler {
  open = true
  readonly received: { type: number; payload: number[]; vp: number }[] = []

  canReceive(): boolean {
    return this.open
  }

  receiveMessage(type: number, payload: Uint8Array, length: number, vp: number): void {
    this.received.push({ type, payload: [...payload.subarray(0, length)], vp })
  }
}

/** A signal handler that keeps the flags it gets. */
export class Signals implements SignalHandler {
  readonly flags: number[] = []

  receiveSignal(flag: number): void {
    this.flags.push(flag)
  }
}

function padded(bytes: Uint8Array, length: number): Uint8Array {
  const out = new Uint8Array(length)
  out.set(bytes)
  return out
}

function structuredCloneable<T>(value: T | undefined): T {
  assert(value !== undefined)
  // The buffers of a clone are the same shared memory, as on the VP's own thread.
  return structuredClone(value)
}
