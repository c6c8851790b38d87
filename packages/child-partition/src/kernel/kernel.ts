// HOT (poll)
// The script guest's kernel: one machine that takes interrupts and drives the bus client. It polls and never waits; the
// engine of the VP's thread waits.
//
//   new ──start()──▶ contacting ──offers delivered──▶ up ──shutDown()──▶ down
//         └─ no hypervisor ─▶ down                     (the client's own states are in vmbus/client)

import { PAGE_SHIFT, PAGE_SIZE, SyntheticMsr } from '@guestyard/hvdef'
import type { GuestMemory } from '@guestyard/guestmem'
import { NMI_VECTOR, type VirtualProcessor } from '@guestyard/hypervisor/vp'
import type { Trace } from '@guestyard/trace'
import { VmbusClient, type VmbusClientEvent } from '@guestyard/vmbus/client'

import { enlighten, KernelPage, type Enlightenment } from './boot.ts'
import { ComputeQueue, type Processor } from './compute-queue.ts'
import { DeviceAccess } from './device-access.ts'
import { HypercallTransport } from './hypercall-transport.ts'
import { VMBUS_VECTOR, VmbusInterrupt } from './interrupts.ts'
import { PageAllocator, type Placement } from './page-allocator.ts'

export interface KernelOptions {
  readonly vp: VirtualProcessor
  readonly memory: GuestMemory
  readonly placement: Placement
  /** Milliseconds of the engine's clock; the client's retries count in it. */
  readonly clock: { readonly nowMs: number }
  /** Told of what happens on the bus: contact, offers, rescinds. From `poll`. */
  readonly onBusEvent: (event: VmbusClientEvent) => void
  /** There is work for `poll` that no doorbell announces: a message waits to be posted again. */
  readonly wake: () => void
  readonly trace?: Trace | null
  /** What the guest computes with; without one, computing takes no time. */
  readonly processor?: Processor
}

/** Work that goes by the clock and that no doorbell announces: the timers of a network stack. */
export interface Chore {
  /** When `poll` has something to do, by the kernel's clock; Infinity: never. */
  nextDeadlineMs(): number
  /** Called in each poll of the kernel's that has a grant, after the bus; does what is due, and says how much that was. */
  poll(): number
}

/** 100 ns units. */
const UNITS_PER_MS = 10_000
/** Interrupts taken in a row before the bus client gets its turn. */
const INTERRUPTS_MAX = 16

/** The VP's thread only. */
export class Kernel {
  readonly vp: VirtualProcessor
  readonly pages: PageAllocator
  readonly bus: VmbusClient
  /** Devices beside the bus. */
  readonly devices: DeviceAccess
  readonly #memory: GuestMemory
  readonly #interrupt: VmbusInterrupt
  /** By vector. */
  readonly #handlers: Map<number, () => void> = new Map()
  /** Interrupts on vectors that the kernel has no handler for. */
  strayInterrupts: number
  /** What the guest's program wants to compute. */
  readonly work: ComputeQueue
  readonly #clock: { readonly nowMs: number }
  readonly #chores: Chore[] = []
  /** The bus was asked for signals, and the VP halted; it stays so until the VP runs again. */
  #isArmed: boolean
  /** The program made work, outside of any poll. */
  #isNudged: boolean
  /** Polls that found the VP without a grant, and did nothing. */
  pollsWithoutGrant: number

  constructor(options: KernelOptions) {
    const { vp, memory, placement } = options
    const first = KernelPage.FIRST_FREE
    this.vp = vp
    this.#memory = memory
    this.pages = new PageAllocator(first, memory.sizeBytes / PAGE_SIZE - first, placement)
    this.bus = new VmbusClient({
      transport: new HypercallTransport(vp, memory, this.pages, options.wake),
      now: () => options.clock.nowMs,
      onEvent: options.onBusEvent,
      trace:
        options.trace === undefined || options.trace === null
          ? null
          : { trace: options.trace, partition: vp.partitionId },
    })
    this.#interrupt = new VmbusInterrupt(
      vp,
      memory,
      this.bus,
      KernelPage.SIM << PAGE_SHIFT,
      KernelPage.SIEF << PAGE_SHIFT,
    )
    this.devices = new DeviceAccess(vp.intercepts, () => {
      this.nudge()
      options.wake()
    })
    this.work = new ComputeQueue(options.processor ?? null)
    this.#clock = options.clock
    this.#isArmed = false
    this.#isNudged = false
    this.strayInterrupts = 0
    this.pollsWithoutGrant = 0
  }

  /** Finds the hypervisor and makes contact; what follows comes by `onBusEvent`. */
  start(): Enlightenment {
    const found = enlighten(this.vp)
    if (found.ok) this.bus.connect()
    return found
  }

  /**
   * The host says that RAM has grown, to `memoryBytes`. The new pages are the allocator's; what had been handed out stays where it
   * is. Pages that are free now.
   */
  memoryAdded(memoryBytes: number): number {
    this.#memory.refresh()
    // The host's word, and what there is: whichever is less.
    const pages = Math.floor(Math.min(memoryBytes, this.#memory.sizeBytes) / PAGE_SIZE)
    const added = pages - KernelPage.FIRST_FREE - this.pages.pageCount
    if (added > 0) this.pages.extend(added)
    return this.pages.freePages
  }

  /** The partition's reference time, in 100 ns, as its counter's MSR has it. */
  get referenceTime(): number {
    const { vp } = this
    if (!vp.readMsr(SyntheticMsr.TIME_REF_COUNT, vp.msr)) return 0
    return vp.msr.high * 2 ** 32 + vp.msr.low
  }

  /** `handler` is called, from `poll`, for each interrupt on this vector. Accesses that it begins are made by the next poll. */
  handle(vector: number, handler: () => void): void {
    this.#handlers.set(vector, handler)
  }

  /** Has it polled from now on. */
  addChore(chore: Chore): void {
    this.#chores.push(chore)
  }

  removeChore(chore: Chore): void {
    this.#chores.splice(this.#chores.indexOf(chore), 1)
  }

  /** The program made work that no doorbell announces: a halted VP wants a processor for it. */
  nudge(): void {
    this.#isNudged = true
  }

  poll(budget: number): number {
    const { vp } = this
    // Each poll is an exit: guest code goes on after it, or the processor is somebody else's.
    if (vp.grantedLp() < 0) return this.#wait()
    this.#isNudged = false
    const answered = this.devices.poll()
    // Until its access is answered the VP runs no guest code.
    if (this.devices.isWaiting) {
      vp.pingPending()
      return answered
    }
    if (this.#isArmed) {
      this.#isArmed = false
      this.bus.disarm()
    }
    let done = this.#takeInterrupts() + this.bus.poll(budget) + this.work.poll()
    for (const chore of this.#chores) done += chore.poll()
    vp.yieldAfterSpin()
    return answered + done
  }

  arm(): boolean {
    const { vp } = this
    if (vp.grantedLp() < 0) return false
    if (this.devices.hasWork) return true
    if (this.devices.isWaiting) return false
    if (this.bus.arm() || vp.hasWork || this.#isNudged || this.work.isPending) return true
    this.#isArmed = true
    vp.halt()
    return false
  }

  /** What no doorbell tells: a synthetic timer, or the end of the delay after which a refused message is posted again. */
  nextDeadlineMs(): number {
    // A VP that waits for a processor can do nothing about it.
    if (this.vp.grantedLp() < 0 && !this.vp.isHalted) return Number.POSITIVE_INFINITY
    return Math.min(this.#ownDeadlineMs(), this.vp.nextDeadline100ns / UNITS_PER_MS)
  }

  disarm(): void {
    // A halted VP's bus stays armed: nobody polls it before the VP runs again.
    if (this.#isArmed && this.vp.grantedLp() < 0) return
    this.#isArmed = false
    this.bus.disarm()
  }

  /** Without a grant no guest code runs; the root rings when it gives one. A halted VP asks for it once there is work. */
  #wait(): number {
    const { vp } = this
    this.pollsWithoutGrant += 1
    vp.pingPending()
    if (!vp.isHalted) return 0
    const isDue = this.#clock.nowMs >= this.#ownDeadlineMs()
    if (isDue || this.#isNudged || this.work.isPending || vp.hasWork) vp.announceReady()
    return 0
  }

  #ownDeadlineMs(): number {
    let least = this.bus.nextDeadlineMs
    for (const chore of this.#chores) least = Math.min(least, chore.nextDeadlineMs())
    return least
  }

  #dispatch(vector: number): void {
    const handler = this.#handlers.get(vector)
    if (handler === undefined) this.strayInterrupts += 1
    else handler()
  }

  #takeInterrupts(): number {
    let taken = 0
    let vector = this.vp.deliver()
    while (vector >= 0 && taken < INTERRUPTS_MAX) {
      taken += 1
      this.vp.acknowledge(vector)
      if (vector === NMI_VECTOR) {
        this.strayInterrupts += 1
        this.vp.returnFromNmi()
      } else {
        if (vector === VMBUS_VECTOR) this.#interrupt.handle()
        else this.#dispatch(vector)
        this.vp.endOfInterrupt()
      }
      vector = this.vp.deliver()
    }
    return taken
  }
}
