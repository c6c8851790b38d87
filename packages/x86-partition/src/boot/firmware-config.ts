// What a PC's firmware asks the machine that it runs on: the fw_cfg device (QEMU, docs/specs/fw_cfg.rst), as SeaBIOS reads it. A selector
// chooses an item, and its bytes are read one by one; further ones are zeros, as is an item that is not there.

import { type AccessBytes, type PortDevice } from '../processor/ports.ts'
import { ascii, u16, u32 } from './aml.ts'

/** A file that the firmware finds by its name. */
export interface FirmwareFile {
  /** At most 55 characters of ASCII. */
  readonly name: string
  readonly bytes: Uint8Array
}

const SELECTOR_PORT = 0x510
const DATA_PORT = 0x511

const Item = {
  SIGNATURE: 0x00,
  /** Bit 0: the two ports, and nothing else. */
  FEATURES: 0x01,
  RAM_BYTES: 0x03,
  PROCESSORS: 0x05,
  PROCESSORS_MAX: 0x0f,
  DIRECTORY: 0x19,
  FIRST_FILE: 0x20,
} as const

const NAME_BYTES = 56

/** The machine's thread only. */
export class FirmwareConfig implements PortDevice {
  readonly #items: ReadonlyMap<number, Uint8Array>
  #selected: Uint8Array = new Uint8Array()
  #at = 0

  /** Throws a RangeError for a name that does not fit. */
  constructor(files: readonly FirmwareFile[], ramBytes: number) {
    this.#items = new Map([
      [Item.SIGNATURE, Uint8Array.from(ascii('QEMU'))],
      [Item.FEATURES, Uint8Array.from(u32(1))],
      [Item.RAM_BYTES, Uint8Array.from([...u32(ramBytes), ...u32(0)])],
      [Item.PROCESSORS, Uint8Array.from(u16(1))],
      [Item.PROCESSORS_MAX, Uint8Array.from(u16(1))],
      [Item.DIRECTORY, directory(files)],
      ...files.map(({ bytes }, index) => [Item.FIRST_FILE + index, bytes] as const),
    ])
  }

  read(port: number, bytes: AccessBytes): number | undefined {
    if (port !== DATA_PORT || bytes !== 1) return undefined
    const value = this.#selected[this.#at] ?? 0
    this.#at += 1
    return value
  }

  write(port: number, value: number, bytes: AccessBytes): boolean {
    if (port !== SELECTOR_PORT || bytes !== 2) return false
    this.#selected = this.#items.get(value & 0xffff) ?? new Uint8Array()
    this.#at = 0
    return true
  }
}

/** Big-endian, unlike the rest: how many, and for each its size, its selector, two bytes of nothing and its name. */
function directory(files: readonly FirmwareFile[]): Uint8Array {
  const entryBytes = 8 + NAME_BYTES
  const bytes = new Uint8Array(4 + files.length * entryBytes)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, files.length)
  files.forEach((file, index) => {
    const at = 4 + index * entryBytes
    const name = ascii(file.name)
    if (name.length >= NAME_BYTES) throw new RangeError(`firmware file ${file.name}: name too long`)
    view.setUint32(at, file.bytes.length)
    view.setUint16(at + 4, Item.FIRST_FILE + index)
    bytes.set(name, at + 8)
  })
  return bytes
}
