// A machine room in one thread under a hand-cranked clock: a root whose disks a test makes itself, and guests whose programs are
// functions of the test.

import { GuestRuntime, type Guest, type GuestKernel } from '@guestyard/child-partition'
import { ManualClock, SingleThread } from '@guestyard/engine'
import { createPortLogger } from '@guestyard/engine/node'
import { GuestMemory } from '@guestyard/guestmem'
import { RootPartition } from '@guestyard/root-partition'
import type { DiskSpec } from '@guestyard/root-partition/worker-protocol'
import { growDisk, type Disk } from '@guestyard/storage'

const MIB = 2 ** 20
/** Turns without the event loop's; promises of programs get theirs in between. */
const TURNS = 64
const LOOPS_MAX = 20_000

/** Opens what a spec names: `path` is the test's own word. */
export type OpenTestDisk = (path: string, wake: () => void) => Disk

export interface YardGuest {
  readonly partitionId: number
  readonly guest: Guest
  /** The guest's processor stops: nothing of it runs again. */
  readonly stop: () => void
}

export class Yard {
  readonly clock: ManualClock = new ManualClock()
  readonly root: RootPartition
  /** Images that were closed with writes that may be lost. */
  readonly lost: string[] = []
  readonly #threads: SingleThread
  readonly #silent = { ring: () => {} }

  constructor(open: OpenTestDisk) {
    this.root = new RootPartition({
      clock: this.clock,
      clockOriginMs: 0,
      logicalProcessors: 8,
      openDoorbells: () => ({
        vp: this.#silent,
        vpBuffer: new SharedArrayBuffer(64),
        rootBuffer: new SharedArrayBuffer(64),
      }),
      closeDoorbells: () => {},
      onBusEvent: () => {},
      openDisk: ({ source }, wake) => {
        const path = source?.is === 'file' ? source.path : ''
        const disk = open(path, wake)
        return { disk, format: 'test', grow: (bytes) => growDisk(disk, bytes, path) }
      },
      onDiskLost: (image) => this.lost.push(image),
    })
    this.#threads = new SingleThread({ machines: [this.root] })
  }

  /** A guest with these disks on its first controller, up and ready for programs. */
  async start(name: string, paths: readonly string[]): Promise<YardGuest> {
    const created = this.root.createPartition({
      name,
      memoryBytes: 4 * MIB,
      vpCount: 1,
      weight: 100,
      disks: paths.map((path, index) => diskAt(index, path)),
    })
    if (!created.ok) throw new Error(created.reason)
    const { start } = created
    const started = Promise.withResolvers<Guest>()
    let machine: GuestKernel | null = null
    const runtime = new GuestRuntime(
      {
        name,
        partitionId: start.partitionId,
        memory: GuestMemory.attach(start.memory),
        handles: start.vps[0]!.handles,
        program: 'inline:',
        args: null,
        placement: 'scattered',
      },
      {
        log: createPortLogger({ postMessage: () => {} }, 'silent', {}),
        clock: this.clock,
        wakeRoot: this.#silent,
        meters: { nowNs: () => 0, sinceStartMs: () => 0, cpu: () => null, heapUsed: () => null },
        trace: null,
        createEngine: (kernel) => {
          machine = kernel
          this.#threads.add(kernel)
          return { start() {}, wake() {}, until: () => Promise.resolve(), inspect: () => null }
        },
        loadProgram: () =>
          Promise.resolve({
            main: (guest) => {
              started.resolve(guest)
              return new Promise<void>(() => {})
            },
          }),
      },
    )
    void runtime.runProgram()
    const guest = await this.until(started.promise)
    const stop = (): void => {
      if (machine !== null) this.#threads.remove(machine)
    }
    return { partitionId: start.partitionId, guest, stop }
  }

  /** Turns everybody until the promise settles. Throws when it does not for a long time. */
  async until<T>(promise: Promise<T>): Promise<T> {
    const wait = { isOver: false }
    const end = (): void => void (wait.isOver = true)
    promise.then(end, end)
    for (let loop = 0; loop < LOOPS_MAX && !wait.isOver; loop += 1) await this.turns()
    if (!wait.isOver) throw new Error('what is waited for does not happen')
    return promise
  }

  /** Some turns of everybody, and one of the event loop. */
  async turns(): Promise<void> {
    for (let turn = 0; turn < TURNS && this.#threads.turn() > 0; turn += 1);
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
}

/** A disk at a place of the first controller. */
export function diskAt(controllerLocation: number, path: string): DiskSpec {
  return {
    controllerType: 'scsi',
    controllerNumber: 0,
    controllerLocation,
    device: 'disk',
    source: { is: 'file', path, format: null, create: null, blockBytes: 512 },
    readOnly: false,
    limits: null,
  }
}
