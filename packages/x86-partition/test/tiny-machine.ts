// A machine for kernels of a few instructions: hypervisor, partition, VP and processor in one thread.

import { MonotonicClock, type ManualClock } from '@guestyard/engine'
import { GuestMemory } from '@guestyard/guestmem'
import { Hypervisor, VirtualProcessor, type Partition } from '@guestyard/hypervisor'
import {
  InstructionClock,
  MACHINE_PRIVILEGES,
  MACHINE_ROOMS,
  MachineGuest,
  multibootImage,
  type MachineEnd,
  type SavedMachine,
  type PortDevice,
} from '@guestyard/x86-partition'
import { readProcessorModule } from '@guestyard/x86-partition/node'

const LOAD_ADDRESS = 0x10_0000
export const RAM_BYTES: number = 2 * 1024 * 1024
const HEADER_BYTES = 32
/** Where `withHandler` puts its table and its code. */
export const IDT = 0x18_2000
const HANDLER = 0x18_3000

export interface TinyOptions {
  readonly ports?: PortDevice
  /** It runs in virtual time, which this clock keeps. */
  readonly virtual?: ManualClock
  /** It goes on from there. */
  readonly saved?: TinySave
}

/** A tiny machine's whole state. */
export interface TinySave {
  readonly ram: Uint8Array
  readonly referenceTime100ns: number
  readonly machine: SavedMachine
}

export interface TinyMachine {
  readonly machine: MachineGuest
  readonly partition: Partition
  readonly hypervisor: Hypervisor
  readonly vp: VirtualProcessor
  readonly memory: GuestMemory
  /** Moves the clock that it is polled by; an engine does, between polls. */
  readonly tick: () => void
  /** Of virtual time: what the latest poll took. */
  readonly lastSliceNs: () => number
  /** What it sent through COM1. */
  readonly printed: () => string
  /** Polls until it ends; throws after `slices` polls. */
  readonly run: (slices?: number) => MachineEnd
  /** So many polls. */
  readonly some: (slices: number) => void
  /** All that it is, between two polls. */
  readonly save: () => TinySave
}

/** `code` runs in flat protected mode, interrupts off, at LOAD_ADDRESS + 32. */
export function kernelOf(code: readonly number[]): Uint8Array {
  const magic = 0x1bad_b002
  const flags = 0x1_0000
  const header = [
    ...[magic, flags, -(magic + flags)],
    ...[LOAD_ADDRESS, LOAD_ADDRESS, 0, 0, LOAD_ADDRESS + HEADER_BYTES],
  ]
  return Uint8Array.from([...new Uint8Array(Int32Array.from(header).buffer), ...code])
}

/** As little of a bzImage as one can have: 4 setup sectors, then code. */
export function bzImage(change: (view: DataView) => void = () => {}): Uint8Array {
  const bytes = new Uint8Array(5 * 512 + 4096)
  const view = new DataView(bytes.buffer)
  view.setUint8(0x1f1, 4)
  view.setUint16(0x1fe, 0xaa55, true)
  view.setUint8(0x201, 0x66)
  view.setUint32(0x202, 0x5372_6448, true)
  view.setUint16(0x206, 0x20f, true)
  view.setUint8(0x211, 1)
  view.setUint32(0x22c, 0x7fff_ffff, true)
  view.setUint32(0x238, 2047, true)
  view.setUint32(0x260, 0x20_0000, true)
  bytes.fill(0x90, 5 * 512)
  change(view)
  return bytes
}

export async function tinyMachine(
  code: readonly number[],
  options: TinyOptions = {},
): Promise<TinyMachine> {
  const { virtual = null } = options
  const clock = virtual ?? new MonotonicClock()
  const sliced = virtual === null ? null : new InstructionClock(virtual)
  const vpClock = sliced ?? new MonotonicClock()
  const memory = GuestMemory.create({ sizeBytes: RAM_BYTES, rooms: MACHINE_ROOMS })
  const hypervisor = new Hypervisor({ clock })
  const wake = { ring: (): void => {} }
  const created = hypervisor.createPartition({
    memory,
    vpCount: 1,
    wakeVp: [wake],
    privileges: MACHINE_PRIVILEGES,
  })
  if (!created.ok) throw new Error('there is room for one partition')
  const { partition } = created
  partition.vps[0]!.dispatch.grant(0, true)
  const { saved } = options
  if (saved !== undefined) {
    memory.u8.set(saved.ram)
    partition.setTimeFrozen(true)
    partition.setReferenceTime(saved.referenceTime100ns)
    partition.setTimeFrozen(false)
  }
  const handles = partition.handlesFor(0)!
  const vp = new VirtualProcessor(handles, { memory, wakeRoot: wake, clock: vpClock })
  let printed = ''
  let random = 4
  const machine = await MachineGuest.create({
    vp,
    memory,
    clock: vpClock,
    image: multibootImage({ kernel: kernelOf(code), commandLine: '', ramBytes: RAM_BYTES }),
    wasm: readProcessorModule(),
    nowMs: sliced?.tick ?? (() => performance.now()),
    random: () => (random = Math.imul(random, 0x9e37_79b1) + 1),
    onSerialByte: (_port, byte) => {
      printed += String.fromCharCode(byte)
    },
    onEnd: () => {},
    ...(saved === undefined ? {} : { saved: saved.machine }),
    ...(options.ports === undefined ? {} : { ports: options.ports }),
  })
  let sliceNs = 0
  sliced?.count(() => machine.instructionCounter)
  const poll = (): void => {
    sliced?.begin()
    const units = machine.poll(1)
    if (virtual === null || sliced === null) return
    sliceNs = sliced.end()
    // As the virtual engine: busy for as long as the slice, or asleep until the next deadline.
    if (units > 0) virtual.advance100ns(Math.ceil(sliceNs / 100))
    else virtual.advanceTo(machine.nextDeadlineMs())
  }
  const save = (): TinySave => {
    const state = machine.save()
    if (state === null) throw new Error('something is on its way into the guest')
    return {
      ram: memory.u8.slice(),
      referenceTime100ns: partition.referenceTime,
      machine: state,
    }
  }
  const some = (slices: number): void => {
    for (let slice = 0; slice < slices && machine.end === null; slice += 1) {
      hypervisor.poll(16)
      poll()
      clock.update()
      vpClock.update()
    }
  }
  const run = (slices = 200): MachineEnd => {
    some(slices)
    if (machine.end === null) throw new Error(`the machine still runs after ${slices} slices`)
    return machine.end
  }
  return {
    machine,
    partition,
    hypervisor,
    vp,
    memory,
    printed: () => printed,
    tick: () => void vpClock.update(),
    lastSliceNs: () => sliceNs,
    run,
    some,
    save,
  }
}

/** An IDT that sends one vector to HANDLER, where `code` is. */
export function withHandler(
  memory: { readonly view: DataView },
  vector: number,
  code: readonly number[],
): void {
  const at = IDT + 16 + vector * 8
  memory.view.setUint16(at, HANDLER & 0xffff, true)
  memory.view.setUint16(at + 2, 0x10, true)
  memory.view.setUint16(at + 4, 0x8e00, true)
  memory.view.setUint16(at + 6, HANDLER >>> 16, true)
  memory.view.setUint16(IDT, 256 * 8 - 1, true)
  memory.view.setUint32(IDT + 2, IDT + 16, true)
  code.forEach((byte, index) => memory.view.setUint8(HANDLER + index, byte))
}

/** Instructions by name, as far as tests need them. */
export const x86 = {
  movEax: (value: number): number[] => [0xb8, ...i32(value)],
  movEcx: (value: number): number[] => [0xb9, ...i32(value)],
  movEdx: (value: number): number[] => [0xba, ...i32(value)],
  movEbx: (value: number): number[] => [0xbb, ...i32(value)],
  /** mov [address], eax */
  storeEax: (address: number): number[] => [0xa3, ...i32(address)],
  /** mov eax, [address] */
  loadEax: (address: number): number[] => [0xa1, ...i32(address)],
  /** mov [address], edx */
  storeEdx: (address: number): number[] => [0x89, 0x15, ...i32(address)],
  cpuid: [0x0f, 0xa2],
  rdmsr: [0x0f, 0x32],
  wrmsr: [0x0f, 0x30],
  rdtsc: [0x0f, 0x31],
  sti: [0xfb],
  hlt: [0xf4],
  /** mov al, code; out 0xf4, al */
  exit: (code: number): number[] => [0xb0, code, 0xe6, 0xf4],
  /** call the absolute address, by eax */
  call: (address: number): number[] => [0xb8, ...i32(address), 0xff, 0xd0],
  /** lidt [address] */
  lidt: (address: number): number[] => [0x0f, 0x01, 0x1d, ...i32(address)],
} as const

export function i32(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, (value >>> 24) & 0xff]
}
