// The emulated devices of one VM: which of them is behind which port and address, and what they answer. An access comes as an exit of a
// VP and its answer goes back to the root; what no device is at reads as all ones. Whatever a guest does to a device is numbers of any
// value, and nothing here throws for it.

import type { EmulatedRanges, VpAnswer, VpExit } from '@guestyard/root-partition/worker-protocol'

/** A device's registers. Offsets are within the range it was put at; sizes are 1, 2, 4 or 8 bytes. */
export interface EmulatedDevice {
  /** A u32: of larger reads the lower half. */
  read(offset: number, size: number): number
  write(offset: number, size: number, value: number): void
}

interface Range {
  readonly first: number
  readonly count: number
  readonly device: EmulatedDevice
}

const ALL_ONES = 0xffff_ffff
const NOTHING: VpAnswer = { kind: 'value', low: ALL_ONES, high: ALL_ONES }

export class DeviceBus {
  readonly #ports: Range[] = []
  readonly #memory: Range[] = []
  reads = 0
  writes = 0

  /** Puts a device at `count` ports from `first` on, each a register of one byte. */
  atPorts(first: number, count: number, device: EmulatedDevice): void {
    this.#ports.push({ first, count, device })
  }

  /** Puts a device at `count` bytes of GPA space from `first` on. */
  atMemory(first: number, count: number, device: EmulatedDevice): void {
    this.#memory.push({ first, count, device })
  }

  /** Where the root is to intercept. */
  get ranges(): EmulatedRanges {
    return {
      ports: this.#ports.map(({ first, count }) => ({ first, count })),
      memory: this.#memory.map(({ first, count }) => ({ gpa: first, bytes: count })),
    }
  }

  /** Does what the VP did to the device. */
  answer({ access }: VpExit): VpAnswer {
    switch (access.kind) {
      case 'port':
        return this.#access(this.#ports, access.port, access)
      case 'memory':
        return this.#access(this.#memory, access.gpa, access)
      case 'msr':
      case 'cpuid':
      case 'other':
        // None of these was asked for.
        return NOTHING
    }
  }

  #access(
    ranges: readonly Range[],
    at: number,
    access: { readonly isWrite: boolean; readonly size: number; readonly low: number },
  ): VpAnswer {
    const range = ranges.find(({ first, count }) => at >= first && at < first + count)
    if (range === undefined) return NOTHING
    const offset = at - range.first
    if (access.isWrite) {
      this.writes += 1
      range.device.write(offset, access.size, access.low)
      return NOTHING
    }
    this.reads += 1
    return { kind: 'value', low: range.device.read(offset, access.size) >>> 0, high: 0 }
  }
}
