// What the worker of a machine guest is started with, and what it answers over Comlink. Control only. Whoever starts it has to know what its
// partition must be like, too.

import type { LogLevel } from '@guestyard/engine/node'
import type { WasmMemory } from '@guestyard/guestmem'
import type { VpHandles } from '@guestyard/hypervisor'
import type { MessagePort } from 'node:worker_threads'

import type { SavedMachine } from './machine/saved-machine.ts'

export { MACHINE_PRIVILEGES, MACHINE_ROOMS, RAM_GRANULE_BYTES } from './machine/partition-needs.ts'

/** A Linux guest, as whoever owns the VM describes it: plain data. */
export interface LinuxSettings {
  /** Folder of the kernel and what goes with it (see `@guestyard/x86-partition/node`); null: the user's cache. */
  readonly folder: string | null
  /** More for the kernel's command line. */
  readonly append: string
  /** A shell on the console; its end turns the machine off. */
  readonly shell: boolean
  /** 1: a PC with its firmware and an IDE disk. 2: no firmware, and nothing but what is on the bus. */
  readonly generation: 1 | 2
}

/** A Linux guest beside its RAM, as a record. Plain data. */
export interface SavedLinux {
  readonly release: string
  /** By which its server of commands is known. */
  readonly mark: string
  readonly machine: SavedMachine
}

/** The IDE disk of a machine of generation 1, served by its owner over this port. */
export interface IdeDiskPort {
  /** A multiple of 512. */
  readonly bytes: number
  readonly port: MessagePort
}

/** What the machine asks of its disk: to read so many bytes, or to write these. */
export interface IdeDiskRequest {
  readonly id: number
  readonly at: number
  readonly transfer: number | Uint8Array<ArrayBuffer>
}

/** What was read; empty after a write; null: the image failed, and with it the machine. */
export interface IdeDiskReply {
  readonly id: number
  readonly data: Uint8Array<ArrayBuffer> | null
}

/** `workerData` of a machine guest's worker. Loaded, it posts one message and waits for its `MachinePartition`. */
export interface MachineWorkerData {
  readonly name: string
  /** When the worker was asked for: milliseconds since the epoch, with fractions. */
  readonly startedMs: number
  readonly linux: LinuxSettings
  readonly memoryBytes: number
  readonly controlPort: MessagePort
  readonly logPort: MessagePort
  readonly logLevel: LogLevel
  /** How long the machine is polled with nothing to do before its thread sleeps, in microseconds. */
  readonly spinMicroseconds: number
}

/** What a loaded worker is given: its own memory and the hypervisor's pages made for it. */
export interface MachinePartition {
  readonly partitionId: number
  /** When the machine started, as `MonotonicClock` counts it. */
  readonly clockOriginMs: number
  readonly memory: WasmMemory
  readonly handles: VpHandles
  readonly doorbell: SharedArrayBuffer
  readonly rootDoorbell: SharedArrayBuffer
  readonly ide: IdeDiskPort | null
  /** It goes on from there instead of booting: RAM is as it was saved. */
  readonly saved: SavedLinux | null
}

/** What `call('exec', script)` answers. */
export interface ExecAnswer {
  /** 0..255. */
  readonly exitCode: number
  /** What the script printed, standard output and errors in their order. */
  readonly output: Uint8Array
  /** It printed more than 16 MiB: the rest is lost. */
  readonly isCut: boolean
}

/** Served by the worker on its control port: the calls that every guest serves. */
export interface MachineControl {
  /** Resolves when the guest serves commands; rejects with the reason when it ends before. */
  booted(): Promise<MachineBootReport>
  /** Resolves when the machine is powered off or reset, by its guest; rejects when it ends in another way. */
  runProgram(): Promise<'powered-off' | 'reset'>
  /** Always rejects: a machine guest has no load driver. */
  runLoad(spec: unknown): Promise<never>
  /**
   * `exec` (a script's text) answers an `ExecAnswer`; `console-write` (bytes) types at the console; `console-read` waits for what the
   * console says, and answers bytes, or null when there will be no more. `memory-digest` answers the SHA-256 of all RAM, in hex. Rejects for any other name.
   */
  call(name: string, data: unknown): Promise<unknown>
  takeReports(): unknown[]
  inspect(): MachineGuestInspection
  /** Always throws: RAM between a processor's rooms does not grow. */
  memoryAdded(memoryBytes: number): number
  /** Resolves when the guest has turned itself off because its shutdown service was told to. */
  poweredOff(): Promise<void>
  /** Asks the guest to turn itself off, past the bus, and resolves when it has. */
  shutDown(): Promise<void>
  /** Its processor stands still between two slices, and is left to others; it answers pings. For `save`. */
  pause(): void
  /** It goes on. */
  resume(): void
  /**
   * What the guest is beside its RAM, while it stands still. Null while something is on its way into it, and until it has booted: it is to
   * run a little. Throws while a command runs in it that somebody waits for, for a machine of generation 1, and once it has ended.
   */
  save(): SavedLinux | null
}

/** As every guest reports it; a machine's kernel keeps its bus to itself, so what is about that is 0. Times are milliseconds. */
export interface MachineBootReport {
  readonly vmbusVersion: number
  readonly offers: number
  /** What the guest is: `Linux 6.1.0-50-686`. */
  readonly vendor: string
  /** From the moment the worker was asked for to the guest serving commands. */
  readonly bootMs: number
  readonly firstChannelMs: number
}

export interface MachineGuestInspection {
  readonly vp: unknown
  readonly vmbus: unknown
  readonly engine: unknown
  readonly machine: unknown
  readonly pagesFree: number
  readonly strayInterrupts: number
  readonly droppedEvents: number
  readonly computedMicroseconds: number
  /** CPU time of the guest's thread since it started, in microseconds. */
  readonly cpuMicroseconds: number
}
