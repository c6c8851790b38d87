// The ACPI tables of a generation 2 machine guest (ACPI 6.4, chapter 5.2): no firmware writes them, so the loader does. One
// processor, the processor package's own chip set behind fixed ports, and the bus.

import { amlBytes, ascii, u16, u32 } from './aml.ts'
import type { AmlObject } from './aml.ts'

/** Ports of the processor package's power management block, and who listens. */
export const AcpiPort = {
  PM1A_EVENT: 0xb000,
  PM1A_CONTROL: 0xb004,
  PM_TIMER: 0xb008,
  GPE0: 0xafe0,
  /** Value 6 resets the machine. */
  RESET: 0xcf9,
} as const

/** What resets, written to AcpiPort.RESET. */
export const RESET_VALUE = 6
/** SLP_TYP of the state that turns the machine off, in PM1 control bits 12:10; bit 13 begins it. */
export const SLEEP_TYPE_OFF = 5
export const SLEEP_ENABLE = 0x2000

/** What VMBus devices may map: frame buffers and the like. Nothing else of the machine lies there. */
export const MMIO_WINDOW: { readonly from: number; readonly bytes: number } = {
  from: 0xf800_0000,
  bytes: 0x400_0000,
}

const SCI_IRQ = 9
const LOCAL_APIC = 0xfee0_0000
const IO_APIC = 0xfec0_0000
const HEADER_BYTES = 36
const CHECKSUM_AT = 9
const FACS_BYTES = 64

function serialPort(name: string, uid: number, port: number, irq: number): AmlObject {
  return {
    is: 'device',
    name,
    objects: [
      { is: 'name', name: '_HID', value: { is: 'eisa-id', id: 'PNP0501' } },
      { is: 'name', name: '_UID', value: uid },
      {
        is: 'name',
        name: '_CRS',
        value: {
          is: 'resources',
          resources: [
            { is: 'io', port, count: 8 },
            { is: 'irq', irq },
          ],
        },
      },
    ],
  }
}

const COM1: AmlObject = serialPort('COM1', 1, 0x3f8, 4)
const COM2: AmlObject = serialPort('COM2', 2, 0x2f8, 3)

const RTC: AmlObject = {
  is: 'device',
  name: 'RTC',
  objects: [
    { is: 'name', name: '_HID', value: { is: 'eisa-id', id: 'PNP0B00' } },
    {
      is: 'name',
      name: '_CRS',
      value: {
        is: 'resources',
        resources: [
          { is: 'io', port: 0x70, count: 2 },
          { is: 'irq', irq: 8 },
        ],
      },
    },
  ],
}

/** The bus. Whatever it is below hands its window of memory on to it. */
const VMBUS: AmlObject = {
  is: 'device',
  name: 'VMBS',
  objects: [
    { is: 'name', name: '_HID', value: 'VMBus' },
    { is: 'name', name: '_UID', value: 0 },
    { is: 'name', name: '_STA', value: 0xf },
  ],
}

/** A module that hands its window on, and in it the bus: as a machine of generation 2 has them. */
const VMBUS_MODULE: AmlObject = {
  is: 'device',
  name: 'VMOD',
  objects: [
    { is: 'name', name: '_HID', value: 'ACPI0004' },
    { is: 'name', name: '_UID', value: 0 },
    {
      is: 'name',
      name: '_CRS',
      value: { is: 'resources', resources: [{ is: 'memory-window', ...MMIO_WINDOW }] },
    },
    VMBUS,
  ],
}

/** The namespace of the machine. */
const MACHINE_NAMESPACE: readonly AmlObject[] = [
  {
    is: 'name',
    name: '_S5',
    value: { is: 'package', elements: [SLEEP_TYPE_OFF, SLEEP_TYPE_OFF, 0, 0] },
  },
  { is: 'scope', path: '\\_SB', objects: [COM1, COM2, RTC, VMBUS_MODULE] },
]

export interface AcpiImage {
  /** To be put at the address that they were written for. */
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Of the RSDP. */
  readonly rsdpAddress: number
  /** Each table by its signature, for whoever looks at them one by one. */
  readonly tables: ReadonlyMap<string, Uint8Array>
}

/** All tables, laid out from `address` (a multiple of 64) on: RSDP, RSDT, FADT, FACS, MADT, DSDT. */
export function acpiTables(address: number): AcpiImage {
  const rsdtAddress = address + 64
  const facsAddress = address + 128
  const dsdtAddress = facsAddress + FACS_BYTES
  const dsdt = table('DSDT', 2, amlBytes(MACHINE_NAMESPACE))
  const fadtAddress = aligned(dsdtAddress + dsdt.length)
  const fadt = table('FACP', 4, fadtBody(facsAddress, dsdtAddress))
  const madtAddress = aligned(fadtAddress + fadt.length)
  const madt = table('APIC', 3, madtBody())
  const rsdt = table('RSDT', 1, [...u32(fadtAddress), ...u32(madtAddress)])
  const parts: readonly (readonly [string, number, Uint8Array])[] = [
    ['RSD PTR ', address, rsdp(rsdtAddress)],
    ['RSDT', rsdtAddress, rsdt],
    ['FACS', facsAddress, facs()],
    ['DSDT', dsdtAddress, dsdt],
    ['FACP', fadtAddress, fadt],
    ['APIC', madtAddress, madt],
  ]
  const bytes = new Uint8Array(madtAddress + madt.length - address)
  for (const [, at, part] of parts) bytes.set(part, at - address)
  return {
    bytes,
    rsdpAddress: address,
    tables: new Map(parts.map(([signature, , part]) => [signature, part])),
  }
}

/**
 * What a machine of generation 1 adds to the tables of its firmware (an SSDT): the bus, below the PCI root, whose windows it uses.
 */
export function vmbusTable(): Uint8Array {
  return table('SSDT', 2, amlBytes([{ is: 'scope', path: '\\_SB.PCI0', objects: [VMBUS] }]))
}

/** The sum of all bytes of a table with a right checksum is 0. */
export function checksum(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte) => (sum + byte) & 0xff, 0)
}

function table(signature: string, revision: number, body: readonly number[]): Uint8Array {
  const bytes = Uint8Array.from([
    ...ascii(signature),
    ...u32(HEADER_BYTES + body.length),
    ...[revision, 0],
    ...ascii('GSTYRD'),
    ...ascii('GUESTYRD'),
    ...u32(1),
    ...ascii('GSTY'),
    ...u32(1),
    ...body,
  ])
  bytes[CHECKSUM_AT] = (0x100 - checksum(bytes)) & 0xff
  return bytes
}

/** Version 1.0: a 32-bit machine needs no more. */
function rsdp(rsdtAddress: number): Uint8Array {
  const bytes = Uint8Array.from([
    ...ascii('RSD PTR '),
    0,
    ...ascii('GSTYRD'),
    0,
    ...u32(rsdtAddress),
  ])
  bytes[8] = (0x100 - checksum(bytes)) & 0xff
  return bytes
}

function facs(): Uint8Array {
  const bytes = new Uint8Array(FACS_BYTES)
  bytes.set([...ascii('FACS'), ...u32(FACS_BYTES)])
  bytes[32] = 1
  return bytes
}

/** Generic Address Structure of ports. */
function ports(port: number, bits: number): number[] {
  const accessSize = { 8: 1, 16: 2, 32: 3 }[Math.min(bits, 32)] ?? 0
  return [1, bits, 0, accessSize, ...u32(port), ...u32(0)]
}

const NOWHERE: readonly number[] = Array.from({ length: 12 }, () => 0)

/** Flags: WBINVD works, C1 is there, no sleep button, the timer has 32 bits, the reset register is there. */
const FADT_FLAGS = 0x1 | 0x4 | 0x20 | 0x100 | 0x400
/** IA-PC: legacy devices, no VGA to be found, no MSI, no ASPM. */
const BOOT_FLAGS = 0x1 | 0x4 | 0x8 | 0x10

function fadtBody(facsAddress: number, dsdtAddress: number): number[] {
  const { PM1A_EVENT, PM1A_CONTROL, PM_TIMER, GPE0, RESET } = AcpiPort
  return [
    ...[...u32(facsAddress), ...u32(dsdtAddress)],
    ...[0, 0, ...u16(SCI_IRQ)],
    // No SMI: the machine is in ACPI mode from the start.
    ...[...u32(0), 0, 0, 0, 0],
    ...[...u32(PM1A_EVENT), ...u32(0), ...u32(PM1A_CONTROL), ...u32(0)],
    ...[...u32(0), ...u32(PM_TIMER), ...u32(GPE0), ...u32(0)],
    // Lengths: PM1 event, PM1 control, PM2 control, timer, GPE0, GPE1; GPE1's base; no C states by port.
    ...[4, 2, 0, 4, 4, 0, 0, 0],
    // Latencies of C2 and C3 that say "none"; no cache flushing by reading; duty cycle; alarms; century in CMOS.
    ...[...u16(0xfff), ...u16(0xfff), ...u16(0), ...u16(0), 0, 0, 0, 0, 0x32],
    ...[...u16(BOOT_FLAGS), 0, ...u32(FADT_FLAGS)],
    ...[...ports(RESET, 8), RESET_VALUE, 0, 0, 0],
    ...[...u32(facsAddress), ...u32(0), ...u32(dsdtAddress), ...u32(0)],
    ...[...ports(PM1A_EVENT, 32), ...NOWHERE, ...ports(PM1A_CONTROL, 16), ...NOWHERE],
    ...[...NOWHERE, ...ports(PM_TIMER, 32), ...ports(GPE0, 32), ...NOWHERE],
  ]
}

function madtBody(): number[] {
  const localApic = [0, 8, 0, 0, ...u32(1)]
  const ioApic = [1, 12, 0, 0, ...u32(IO_APIC), ...u32(0)]
  const timer = [2, 10, 0, 0, ...u32(2), ...u16(0)]
  const sci = [2, 10, 0, SCI_IRQ, ...u32(SCI_IRQ), ...u16(0xd)]
  // Flags: there is a PC's own interrupt controller too.
  return [...u32(LOCAL_APIC), ...u32(1), ...localApic, ...ioApic, ...timer, ...sci]
}

function aligned(address: number): number {
  return Math.ceil(address / 64) * 64
}
