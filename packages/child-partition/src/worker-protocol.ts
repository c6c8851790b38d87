// What the worker of a script guest is started with, and what it answers over Comlink. Control only.

import type { LogLevel } from '@guestyard/engine/node'
import type { WasmMemory } from '@guestyard/guestmem'
import type { VpHandles } from '@guestyard/hypervisor'
import type { LoadResult, LoadSpec } from '@guestyard/load-device/protocol'
import type { MessagePort } from 'node:worker_threads'

import type { IntegrationInspection } from './drivers/integration.ts'

/** Lines that a guest's logger sends in a second, and the longest, in characters. What is above is dropped and counted. */
export const GUEST_LOG_LINES_PER_SECOND = 100
export const GUEST_LOG_LINE_MAX = 8_192

/** `workerData` of a script guest's worker: its program, two ports. Loaded, it posts one message and waits for its `GuestPartition`. */
export interface GuestWorkerData {
  readonly name: string
  /** When the worker was asked for: milliseconds since the epoch, with fractions. */
  readonly startedMs: number
  /** Module whose exported `main(guest)` is the guest's program; null: the guest only boots and serves load runs. */
  readonly program: string | null
  /** Plain data for the program, as the scenario wrote it. */
  readonly args: unknown
  readonly controlPort: MessagePort
  readonly logPort: MessagePort
  readonly logLevel: LogLevel
  /** How long the guest polls with nothing to do before it sleeps, in microseconds. */
  readonly spinMicroseconds: number
  /** How ring and buffer pages are chosen; `scattered` is for tests and figures. */
  readonly placement: 'contiguous' | 'scattered'
}

/** What a loaded worker is given: its own RAM and the hypervisor's pages made for it. */
export interface GuestPartition {
  readonly partitionId: number
  /** When the machine started, as `MonotonicClock` counts it. */
  readonly clockOriginMs: number
  readonly memory: WasmMemory
  readonly handles: VpHandles
  readonly doorbell: SharedArrayBuffer
  readonly rootDoorbell: SharedArrayBuffer
}

/** What a guest shows once its bus is up. Times are milliseconds. */
export interface BootReport {
  readonly vmbusVersion: number
  readonly offers: number
  readonly vendor: string
  /** From the moment the worker was asked for, module loading included, to all offers delivered. */
  readonly bootMs: number
  /** From the same moment to the first channel open. */
  readonly firstChannelMs: number
}

export interface GuestInspection {
  readonly vp: unknown
  readonly vmbus: unknown
  readonly engine: unknown
  readonly pagesFree: number
  readonly strayInterrupts: number
  readonly integration: IntegrationInspection
  /** Input events that found their stream full. */
  readonly droppedEvents: number
  /** What its program asked to compute and was computed, of its own dispatched time. */
  readonly computedMicroseconds: number
  /** CPU time of the guest's thread since it started, in microseconds. */
  readonly cpuMicroseconds: number
}

/** Served by the guest's worker on its control port. */
export interface GuestControl {
  /** Resolves when the bus is up; rejects with the reason when it can't come up. */
  booted(): Promise<BootReport>
  /** Runs the program; resolves when `main` returns, rejects with what it threw. */
  runProgram(): Promise<void>
  runLoad(spec: LoadSpec): Promise<LoadResult>
  /** Calls a function that the program exposed. */
  call(name: string, data: unknown): Promise<unknown>
  /** What the program reported so far, in order; the list is emptied. */
  takeReports(): unknown[]
  inspect(): GuestInspection
  /** RAM has grown, to so many bytes in all. Pages free now. */
  memoryAdded(memoryBytes: number): number
  /** Resolves when the guest has shut down because the host told it to over the bus, by its shutdown service. */
  poweredOff(): Promise<void>
  /** Without the bus' help: aborts the program's signal, closes its channels, unloads the bus. */
  shutDown(): Promise<void>
}
