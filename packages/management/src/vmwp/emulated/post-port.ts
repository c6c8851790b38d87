// Port 0x80: where firmware says how far it has come. A byte that can be read back.

import type { EmulatedDevice } from './device-bus.ts'

export const POST_PORT = 0x80

export class PostPort implements EmulatedDevice {
  /** The latest code, 0 before any. */
  code = 0
  codes = 0

  read(): number {
    return this.code
  }

  write(_offset: number, _size: number, value: number): void {
    this.code = value & 0xff
    this.codes += 1
  }
}
