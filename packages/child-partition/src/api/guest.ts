// What a guest program sees. Types only: the worker makes the object and hands it to the program's `main`.

import type { PortLogger } from '@guestyard/engine/node'
import type { LoadResult, LoadSpec } from '@guestyard/load-device/protocol'
import type { VmbusClient } from '@guestyard/vmbus/client'

import type { GuestDisks, GuestDma } from './disks.ts'
import type { GuestNet } from './net.ts'
import type { GuestNics } from './nics.ts'

/** One key on the synthetic keyboard. */
export interface KeyEvent {
  /** Set-1 make code, without 0x80. */
  readonly makeCode: number
  /** `KeyFlags` of `@guestyard/input`: 1 unicode, 2 break, 4 E0, 8 E1. */
  readonly flags: number
}

/** One report of the synthetic mouse. */
export interface PointerEvent {
  /** Absolute, 0..32767. */
  readonly x: number
  readonly y: number
  /** Bit mask: 1 left, 2 right, 4 middle. */
  readonly buttons: number
  /** Steps, positive away from the user. */
  readonly wheel: number
}

/** The sending end of a stream to another partition. */
export interface StreamWriter {
  /** Resolves when every byte is in the ring: the bytes may be reused then. */
  write(bytes: Uint8Array): Promise<void>
  /** Ends the stream; resolves when the root has passed everything on. */
  end(): Promise<void>
}

/** Byte streams through the root to a guest that asks for the same id. */
export interface GuestStreams {
  /** `id`: a whole number that both ends agree on; one sender and one receiver an id. */
  send(id: number): Promise<StreamWriter>
  /** Chunks in order, each a fresh array; throws when the sender dies before its end. */
  receive(id: number): AsyncIterable<Uint8Array>
}

/** Devices beside the bus, as the processor reaches them. What nobody emulates reads as all ones. */
export interface GuestDevices {
  /** IN: 1, 2 or 4 bytes from port 0..65535. */
  portIn(port: number, size: 1 | 2 | 4): Promise<number>
  /** OUT. Resolves when the device has taken it. */
  portOut(port: number, size: 1 | 2 | 4, value: number): Promise<void>
  /** A load of 1, 2 or 4 bytes at a physical address. */
  read(gpa: number, size: 1 | 2 | 4): Promise<number>
  /** A store. Resolves when the device has taken it. */
  write(gpa: number, size: 1 | 2 | 4, value: number): Promise<void>
}

/** Functions that the host may call by name; data is structured-cloned both ways. */
export type ExposedFunctions = Readonly<Record<string, (data: unknown) => unknown>>

/** A running script guest. VP's thread only. */
export interface Guest {
  readonly name: string
  readonly partitionId: number
  /** Plain data that the scenario gave this VM. */
  readonly args: unknown
  /** Lines go to the host's log, bound to this guest; too many in a second are dropped and counted. */
  readonly log: PortLogger
  /** Aborted when the guest is asked to shut down; a program should return soon after. */
  readonly signal: AbortSignal
  /** The bus client, for programs that bring a driver of their own. */
  readonly vmbus: VmbusClient
  readonly streams: GuestStreams
  readonly devices: GuestDevices
  /** Disks and DVD drives, on whatever controller. */
  readonly disks: GuestDisks
  /** RAM that disks read into and write from. */
  readonly dma: GuestDma
  /** Network adapters: raw Ethernet. */
  readonly nics: GuestNics
  /** TCP, UDP and ping over them. */
  readonly net: GuestNet
  readonly keyboard: AsyncIterable<KeyEvent>
  readonly mouse: AsyncIterable<PointerEvent>
  runLoad(spec: LoadSpec): Promise<LoadResult>
  /**
   * Uses the processor for so many microseconds of the time that this VP is dispatched; resolves when it has. Between pieces of it the
   * scheduler may give the processor to others. What a program computes otherwise is one piece to the scheduler, up to its next `await`.
   */
  compute(microseconds: number): Promise<void>
  /** Lets the scheduler give the processor to others; resolves at once when it does not, or when this VP is dispatched again. For long loops. */
  yield(): Promise<void>
  /**
   * The host's time of day: milliseconds since 1970-01-01 UTC, with fractions, by its time service and the reference time since. Null until
   * the host has told it, which it does once the bus is up.
   */
  hostTimeMs(): number | null
  expose(functions: ExposedFunctions): void
  /** Hands plain data to the host, which collects it in order. */
  report(data: unknown): void
}

/** What a program's module exports. */
export interface GuestProgram {
  main(guest: Guest): Promise<void>
}
