// The interrupt lines of devices that every PC has at fixed places: ISA interrupt n. They are edges, as the interrupt controllers of a PC
// take them: a line that rises asks for its vector once. With no interrupt controller to program they are as firmware leaves them, vector
// ISA_VECTOR_BASE + n of VP 0. Root thread only.

import { HvStatus, ISA_LINES, ISA_VECTOR_BASE } from '@guestyard/hvdef'

import type { DeviceVectors, InterruptRemapping, MsiEntry } from './remapping.ts'

/** The bridge that all of them come through. */
const ISA_DEVICE_ID = 0xffff_0000

/** A line of an emulated device, up or down. */
export interface LineChange {
  readonly line: number
  readonly asserted: boolean
}

export class IsaLines {
  readonly #remapping: InterruptRemapping
  #device: DeviceVectors | undefined
  readonly #entries: Map<number, MsiEntry> = new Map()
  /** Lines that are up, a bit each. */
  #asserted = 0

  constructor(remapping: InterruptRemapping) {
    this.#remapping = remapping
  }

  /** A line goes up or down. INVALID_PARAMETER for one that there is not; else the status of the interrupt. */
  set(line: number, asserted: boolean): HvStatus {
    if (!Number.isInteger(line) || line < 0 || line >= ISA_LINES) return HvStatus.INVALID_PARAMETER
    const bit = 1 << line
    const wasAsserted = (this.#asserted & bit) !== 0
    this.#asserted = asserted ? this.#asserted | bit : this.#asserted & ~bit
    if (!asserted || wasAsserted) return HvStatus.SUCCESS
    this.#device ??= this.#remapping.attach(ISA_DEVICE_ID)
    const entry = this.#entryOf(line)
    if (this.#device === undefined || entry === undefined) return HvStatus.NO_RESOURCES
    return this.#device.raise(entry.address, entry.data)
  }

  /** Mapped when it is used first. */
  #entryOf(line: number): MsiEntry | undefined {
    const known = this.#entries.get(line)
    if (known !== undefined) return known
    const target = { vector: ISA_VECTOR_BASE + line, vps: [0], multicast: false }
    const mapped = this.#remapping.map(ISA_DEVICE_ID, target, false)
    if (!mapped.ok) return undefined
    this.#entries.set(line, mapped.entry)
    return mapped.entry
  }
}
