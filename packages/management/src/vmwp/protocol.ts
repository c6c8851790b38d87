// Between the management service (main thread) and the worker process of one VM (a Piscina task).

// The one door to the guest family: a worker process starts a guest, and passes on what it says of itself.
import type { BootReport, GuestInspection } from '@guestyard/child-partition/worker-protocol'
import type { ExecAnswer, LinuxSettings } from '@guestyard/x86-partition/worker-protocol'
import type { LogLevel } from '@guestyard/engine/node'
import type { LoadResult, LoadSpec } from '@guestyard/load-device/protocol'
import type {
  CrashInspection,
  DiskAddress,
  DiskSource,
  DiskSpec,
  NicSpec,
  HeartbeatStatus,
} from '@guestyard/root-partition/worker-protocol'
import type { MessagePort } from 'node:worker_threads'

export type { BootReport, ExecAnswer, GuestInspection, LinuxSettings }

/** Why a VM is not running any more. */
export type VmExitReason =
  /** `stop()` was asked for and the guest shut down by itself. */
  | 'stopped'
  /** `stop()` was asked for and the guest had to be ended. */
  | 'turned-off'
  /** `save()` was asked for, and its file is whole. */
  | 'saved'
  /** The guest's program came to its end. */
  | 'exited'
  /** The guest's program threw; a machine stopped for good, as by a panic or a triple fault. */
  | 'threw'
  /** The guest's thread died: an uncaught error outside the program, an exit code, memory exhausted. */
  | 'crashed'
  /** The guest's processor showed no sign of polling for `notRespondingMs`. */
  | 'not-responding'
  /** The VM could not be started at all. */
  | 'start-failed'
  /** The worker process of the VM, or the root, died. */
  | 'host-failed'

export interface VmExit {
  readonly reason: VmExitReason
  /** One line for people; a stack follows on further lines when there is one. */
  readonly detail: string
  /** What the guest reported by its crash registers; left out: nothing. */
  readonly crash?: CrashInspection
}

/** What a task resolves with. */
export interface VmOutcome {
  readonly exit: VmExit
  /** What the guest said when it was up; null when it never was. Its own answer may be overtaken by its end. */
  readonly boot: BootReport | null
  /** What its program reported and nobody took while it ran. */
  readonly reports: readonly unknown[]
}

/** Everything one worker process needs; travels to the Piscina task. */
export interface VmTask {
  readonly name: string
  readonly memoryBytes: number
  readonly memoryMaximumBytes: number
  readonly vpCount: number
  readonly weight: number
  readonly cap: number
  readonly reserve: number
  readonly relay: string | false
  readonly program: string | null
  /** A machine guest that boots Linux; null: a script guest. */
  readonly linux: LinuxSettings | null
  readonly args: unknown
  readonly placement: 'contiguous' | 'scattered'
  readonly spinMicroseconds: number
  readonly bootTimeoutMs: number
  readonly notRespondingMs: number
  readonly heapBytes: number
  readonly youngHeapBytes: number
  /** Path of the file that it goes on from instead of booting, or null. */
  readonly saved: string | null
  readonly disks: readonly DiskSpec[]
  readonly nics: readonly NicSpec[]
  readonly rootPort: MessagePort
  readonly controlPort: MessagePort
  readonly logPort: MessagePort
  readonly logLevel: LogLevel
}

/** Served by the worker process on the VM's control port. */
export interface VmwpControl {
  /** Resolves when the guest's bus is up and its program started; rejects when the VM ends before that. */
  booted(): Promise<BootReport>
  /** Resolves when the guest's program has returned; rejects with what it threw. */
  programEnded(): Promise<void>
  runLoad(spec: LoadSpec): Promise<LoadResult>
  call(name: string, data: unknown): Promise<unknown>
  takeReports(): Promise<unknown[]>
  inspectGuest(): Promise<GuestInspection>
  pressKey(makeCode: number, flags: number): Promise<boolean>
  /** Whether the guest answers its heartbeat service. */
  heartbeat(): Promise<HeartbeatStatus>
  moveMouse(x: number, y: number, buttons: number, wheel: number): Promise<boolean>
  /** More RAM, a multiple of 64 KiB; RAM in all once the guest knows. Rejects with what stands against it. */
  addMemory(bytes: number): Promise<number>
  /** Puts a disk on a SCSI controller. Rejects with what stands against it. */
  attachDisk(disk: DiskSpec): Promise<void>
  /** Pulls the cable of an adapter, or plugs it in. False when there is no such adapter. */
  setNicLink(nic: number, isUp: boolean): Promise<boolean>
  /** Changes the speed of an adapter's link, in Mbit/s. Rejects with what stands against it. */
  setNicLinkSpeed(nic: number, mbps: number): Promise<void>
  /** Takes a disk out; resolves when its image is free. */
  detachDisk(address: DiskAddress): Promise<void>
  /** Puts a disc into an empty drive on a SCSI controller. Rejects with what stands against it, as the next two do. */
  insertDvd(address: DiskAddress, source: DiskSource): Promise<void>
  /** Takes it out; resolves when its image is free. */
  ejectDvd(address: DiskAddress): Promise<void>
  /** Makes a disk larger; resolves when it is so. */
  resizeDisk(address: DiskAddress, sizeBytes: number): Promise<void>
  /** Saves it to a file, by path, which ends it. Resolves when it is about to; rejects with the reason, and it runs on. */
  save(file: string): Promise<void>
  /** Asks the guest to shut down, and ends it after `graceMs`. The task's own result tells how it went. */
  stop(graceMs: number): Promise<void>
}
