// Port I/O that somebody else than the processor package serves.

/** Bytes of one access. */
export type AccessBytes = 1 | 2 | 4

export interface PortDevice {
  /** IN: the value, as an i32 where it has four bytes; undefined: none of its ports. */
  read(port: number, bytes: AccessBytes): number | undefined
  /** OUT; false: none of its ports. */
  write(port: number, value: number, bytes: AccessBytes): boolean
}

/** Several as one: the first that knows a port serves it. */
export class PortDevices implements PortDevice {
  readonly #devices: readonly PortDevice[]

  constructor(devices: readonly PortDevice[]) {
    this.#devices = devices
  }

  read(port: number, bytes: AccessBytes): number | undefined {
    for (const device of this.#devices) {
      const value = device.read(port, bytes)
      if (value !== undefined) return value
    }
    return undefined
  }

  write(port: number, value: number, bytes: AccessBytes): boolean {
    for (const device of this.#devices) if (device.write(port, value, bytes)) return true
    return false
  }
}
