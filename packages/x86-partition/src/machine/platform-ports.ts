// Ports of the machine that are no device of the processor package: power, reset, a kernel's debug exit; and the PCI that a generation 2
// machine has not.

import { AcpiPort, RESET_VALUE, SLEEP_ENABLE, SLEEP_TYPE_OFF } from '../boot/acpi-tables.ts'
import type { AccessBytes, PortDevice } from '../processor/ports.ts'

/** How a machine came to its end. */
export type MachineEnd =
  | { readonly is: 'powered-off' }
  | { readonly is: 'reset' }
  /** A test kernel wrote a code to DEBUG_EXIT_PORT. */
  | { readonly is: 'exited'; readonly code: number }
  /** It will never run again by itself. */
  | { readonly is: 'stopped'; readonly detail: string }

/** As QEMU's `isa-debug-exit`. */
export const DEBUG_EXIT_PORT = 0xf4
const KEYBOARD_COMMAND = 0x64
const KEYBOARD_RESET = 0xfe
const PCI_FIRST = 0xcf8
const PCI_LAST = 0xcff
/**
 * Where the firmware's own ACPI tables have PCI hot-plug (QEMU, docs/specs/acpi_pci_hotplug.rst): bits of slots that were filled, are to be emptied,
 * may be emptied. None: ones would have the guest remove its disk.
 */
const HOT_PLUG_FIRST = 0xae00
const HOT_PLUG_LAST = 0xae0f

/** SLP_TYP of a PC's chip set for the state that turns the machine off (Intel 82371AB, 7.1.3). */
const CHIP_SET_SLEEP_TYPE_OFF = 0

export class PlatformPorts implements PortDevice {
  end: MachineEnd | null = null
  readonly #generation: 1 | 2
  readonly #sleepTypeOff: number

  constructor(generation: 1 | 2) {
    this.#generation = generation
    this.#sleepTypeOff = generation === 1 ? CHIP_SET_SLEEP_TYPE_OFF : SLEEP_TYPE_OFF
  }

  /** What nobody drives reads as ones. */
  read(port: number, bytes: AccessBytes): number | undefined {
    if (this.#generation === 1) {
      return port >= HOT_PLUG_FIRST && port <= HOT_PLUG_LAST ? 0 : undefined
    }
    if (port < PCI_FIRST || port > PCI_LAST) return undefined
    return bytes === 4 ? -1 : 2 ** (8 * bytes) - 1
  }

  write(port: number, value: number, bytes: AccessBytes): boolean {
    switch (port) {
      case AcpiPort.RESET:
        if (bytes === 1 && value === RESET_VALUE) this.#ends({ is: 'reset' })
        return true
      case KEYBOARD_COMMAND:
        if (value !== KEYBOARD_RESET) return false
        this.#ends({ is: 'reset' })
        return true
      case AcpiPort.PM1A_CONTROL:
        return bytes === 2 && this.#sleep(value)
      case DEBUG_EXIT_PORT:
        this.#ends({ is: 'exited', code: value & 0xff })
        return true
      default:
        return this.#generation === 2 && port >= PCI_FIRST && port <= PCI_LAST
    }
  }

  #sleep(value: number): boolean {
    if ((value & SLEEP_ENABLE) === 0) return false
    if (((value >>> 10) & 7) === this.#sleepTypeOff) this.#ends({ is: 'powered-off' })
    return true
  }

  /** The first reason is the reason. */
  #ends(end: MachineEnd): void {
    this.end ??= end
  }
}
