// What a loader puts into RAM before the processor starts, whatever the kernel's protocol.

import type { FirmwareFile } from './firmware-config.ts'

/** Bytes at a guest-physical address. */
export interface BootSegment {
  readonly address: number
  readonly bytes: Uint8Array
}

export interface BootImage {
  readonly segments: readonly BootSegment[]
  /** At the end of the first megabyte. */
  readonly rom: Uint8Array<ArrayBuffer>
  /**
   * What `rom` finds in its machine, where it is a PC's firmware: the machine is of generation 1 then, with PCI and the processor
   * package's own devices. Left out: generation 2.
   */
  readonly firmware?: readonly FirmwareFile[]
}

/** Where tables of the machine are, in the first megabyte. */
export const ACPI_ADDRESS = 0xe_0000
/** RAM below a PC's hole; the extended BIOS data area is above. */
export const LOW_RAM_END = 0x9_fc00
/** RAM above it. */
export const HIGH_RAM = 0x10_0000
