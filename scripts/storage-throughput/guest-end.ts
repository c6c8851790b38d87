/** The guest's end of the storage figures, in the main thread: its driver over bare rings, and the orders to the host's thread. */

import { once } from 'node:events'
import { getHeapStatistics } from 'node:v8'
import { Worker } from 'node:worker_threads'

import { GuestMemory } from '@guestyard/guestmem'
import { StorOutcome, StorRequest, StorVsc, readBlocks, writeBlocks } from '@guestyard/storage/vsc'
import type { StorLane, StorUnit } from '@guestyard/storage/vsc'

import { guestChannel } from './bare-channel.ts'
import {
  ACCESSES,
  BARE,
  BARE_NS,
  CONTROL_BYTES,
  DATA_GPA,
  END_DISKS,
  HEAP,
  PHASE,
  PING,
  PONG,
  Phase,
  Positions,
  RAM_BYTES,
  RING_BYTES,
  SEEN,
} from './ends-protocol.ts'
import type { HostThreadData, Load } from './ends-protocol.ts'

const SPIN_TRIPS = 2_000
const SCRATCH_PFN = DATA_GPA / 4096 - 1
const POLLS = 256
/** Polls of the driver while it comes up, before somebody is told that it does not. */
const START_POLLS_MAX = 100_000_000

/** Both ends, running. */
export class StorageEnds {
  readonly #control: Int32Array
  readonly #times: Float64Array
  readonly #vsc: StorVsc
  readonly #lane: StorLane
  readonly #worker: Worker
  readonly #diskBytes: number
  #units: readonly StorUnit[] = []
  #left = 0
  #toSubmit = 0
  #load: Load | null = null
  #positions: Positions | null = null
  #blocks = 0
  #guestHeapBytes = 0

  private constructor(
    worker: Worker,
    control: SharedArrayBuffer,
    memory: GuestMemory,
    diskBytes: number,
  ) {
    this.#worker = worker
    this.#control = new Int32Array(control)
    this.#times = new Float64Array(control)
    this.#diskBytes = diskBytes
    this.#vsc = new StorVsc({
      listener: { onUnits: (units) => (this.#units = units) },
      memory,
      scratchPfn: SCRATCH_PFN,
      clock: { nowMs: 0 },
      ringBytes: RING_BYTES,
    })
    this.#lane = this.#vsc.bind(guestChannel(memory))
    this.#lane.disarm()
  }

  /** Starts the host's thread on these files, and waits until the driver has found its disks. */
  static async start(files: Pick<HostThreadData, 'diskBytes' | 'rawPath'>): Promise<StorageEnds> {
    const memory = GuestMemory.create({ sizeBytes: RAM_BYTES })
    const control = new SharedArrayBuffer(CONTROL_BYTES)
    Atomics.store(new Int32Array(control), PHASE, Phase.REST)
    const data: HostThreadData = { memory: memory.memory, control, ...files }
    // The rings are the guest's to empty: before the host opens them.
    const url = new URL('host-worker.ts', import.meta.url)
    const ends = new StorageEnds(
      new Worker(url, { workerData: data }),
      control,
      memory,
      files.diskBytes,
    )
    await ends.#find()
    return ends
  }

  async stop(): Promise<void> {
    this.#phase(Phase.END)
    await this.#worker.terminate()
  }

  /** Bytes that both heaps take for a request, over so many of them; with compiled code, the more the fewer there are. */
  heap(load: Load, requests: number): { readonly driverBytes: number; readonly hostBytes: number } {
    this.#times[HEAP >> 1] = 0
    this.run(load, requests, 1)
    return {
      driverBytes: this.#guestHeapBytes / requests,
      hostBytes: this.#times[HEAP >> 1]! / requests,
    }
  }

  /** Nanoseconds that two spinning threads need to meet, there and back. */
  probe(): number {
    this.#order(Phase.SPIN)
    const control = this.#control
    const began = performance.now()
    for (let trip = 1; trip <= SPIN_TRIPS; trip++) {
      Atomics.store(control, PING, trip)
      while (Atomics.load(control, PONG) !== trip);
    }
    const ns = ((performance.now() - began) * 1e6) / SPIN_TRIPS
    this.#order(Phase.REST)
    return ns
  }

  /** Nanoseconds of a request, of so many through both ends. */
  run(load: Load, requests: number, seed: number): number {
    const slots = this.#slots(load)
    this.#order(Phase.SERVE)
    this.#load = load
    this.#positions = new Positions(load.access, this.#diskBytes / load.bytes, seed)
    this.#blocks = load.bytes / 512
    this.#left = requests
    this.#toSubmit = requests
    const heapBefore = getHeapStatistics().total_allocated_bytes
    const began = performance.now()
    for (const slot of slots) this.#submit(slot)
    const lane = this.#lane
    while (this.#isBusy()) lane.poll(POLLS)
    const ns = ((performance.now() - began) * 1e6) / requests
    this.#guestHeapBytes = getHeapStatistics().total_allocated_bytes - heapBefore
    this.#order(Phase.REST)
    return ns
  }

  /** Nanoseconds of a transfer, of so many by the host's thread alone. */
  bare(load: Load, transfers: number, seed: number): number {
    const words = [ACCESSES.indexOf(load.access), load.bytes, transfers, load.depth, seed]
    for (const [index, word] of words.entries()) this.#control[BARE + index] = word
    this.#order(Phase.BARE)
    const ns = this.#times[BARE_NS >> 1]! / transfers
    this.#order(Phase.REST)
    return ns
  }

  #isBusy(): boolean {
    return this.#left > 0
  }

  #slots(load: Load): StorRequest[] {
    return Array.from({ length: load.depth }, (_, index) => {
      const slot = new StorRequest(load.bytes / 4096, this.#ended)
      slot.lun = END_DISKS.indexOf(load.disk)
      slot.setData(DATA_GPA + index * load.bytes, load.bytes)
      return slot
    })
  }

  readonly #ended = (slot: StorRequest): void => {
    if (slot.outcome !== StorOutcome.OK) throw new Error('a request failed')
    this.#left -= 1
    this.#submit(slot)
  }

  #submit(slot: StorRequest): void {
    if (this.#toSubmit === 0) return
    this.#toSubmit -= 1
    const block = this.#positions!.next() * this.#blocks
    const isWrite = this.#load!.access === 'sequential-write'
    if (isWrite) writeBlocks(slot, block, this.#blocks, false)
    else readBlocks(slot, block, this.#blocks)
    this.#vsc.submit(slot, 0)
  }

  async #find(): Promise<void> {
    const turn = (): Promise<void> => new Promise((done) => setImmediate(done))
    const failed = once(this.#worker, 'error').then(([error]: unknown[]) =>
      Promise.reject(error as Error),
    )
    this.#phase(Phase.SERVE)
    for (let polls = 0; this.#units.length === 0; polls++) {
      if (polls > START_POLLS_MAX) throw new Error('the driver finds no disks')
      this.#lane.poll(POLLS)
      // The thread starts, or says why not.
      if (polls % 10_000 === 0) await Promise.race([failed, turn()])
    }
    failed.catch(() => undefined)
    this.#order(Phase.REST)
  }

  #phase(phase: Phase): void {
    Atomics.store(this.#control, PHASE, phase)
    Atomics.notify(this.#control, PHASE)
  }

  /** Waits until the host's thread does as told; for a bare stretch, until it has done it. */
  #order(phase: Phase): void {
    this.#phase(phase)
    for (;;) {
      const seen = Atomics.load(this.#control, SEEN)
      if (seen === phase) return
      Atomics.wait(this.#control, SEEN, seen, 1000)
    }
  }
}
