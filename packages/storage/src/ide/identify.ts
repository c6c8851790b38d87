// IDENTIFY DEVICE and IDENTIFY PACKET DEVICE: 256 words, little-endian, in which a drive says what it can (ATA/ATAPI-6, 8.15 and 8.16;
// TRIM and large physical blocks: ATA8-ACS). Strings have the bytes of each word swapped. The last word is the signature and checksum.

import { MULTIPLE_MAX, TRIM_BLOCKS_MAX } from './commands.ts'
import { ATA_SECTOR_BYTES } from './registers.ts'

/** Modes that SET FEATURES chose: bits of words 63 and 88. */
export interface TransferMode {
  /** Multiword DMA 0 to 2, or -1. */
  multiword: number
  /** Ultra DMA 0 to 2 (what a PIIX4 can), or -1. */
  ultra: number
}

export interface DiskIdentity {
  readonly blockCount: number
  readonly physicalBlockBytes: number
  readonly canTrim: boolean
  readonly trimReadsZeros: boolean
  /** 16 bytes: the serial number is made of them. */
  readonly uniqueId: Uint8Array
  /** 0 or 1: how it was told which one it is. */
  readonly device: number
  readonly writeCache: boolean
  /** Of READ MULTIPLE; 0: not set. */
  readonly multiple: number
  readonly mode: TransferMode
  /** The translation in force, for addresses of cylinder, head and sector. */
  readonly heads: number
  readonly sectorsPerTrack: number
}

/** Cylinders that the oldest fields can say. */
const CYLINDERS_MAX = 16383
export const DEFAULT_HEADS = 16
export const DEFAULT_SECTORS = 63
const LBA28_MAX = 0x0fff_ffff
const MULTIWORD_MODES = 0x0007
const ULTRA_MODES = 0x0007
/** Major versions 4 to 7. */
const VERSIONS = 0x00f0
const LBA_DMA_IORDY = 0x0b00
const VALID = 0x4000
/** Words 82 and 85: power management, write cache, look-ahead. NOP and DEVICE RESET are packet devices'. */
const POWER_MANAGEMENT = 0x0008
const PACKET = 0x0010
const WRITE_CACHE = 0x0020
const LOOK_AHEAD = 0x0040
const DEVICE_RESET = 0x0200
/** Words 83 and 86: 48-bit addresses, both kinds of FLUSH CACHE. */
const LBA48_FLUSH = 0x3400
/** Words 84 and 87: WRITE DMA FUA EXT and its sibling. */
const FUA = 0x0040
const SIGNATURE = 0xa5

/** Fills `out`, 512 bytes, for a disk. */
export function identifyDisk(out: Uint8Array, disk: DiskIdentity): void {
  const words = new Words(out)
  const cylinders = cylindersOf(disk.blockCount, DEFAULT_HEADS, DEFAULT_SECTORS)
  words.set(0, 0x0040) // a fixed disk
  words.set(1, cylinders)
  words.set(3, DEFAULT_HEADS)
  words.set(6, DEFAULT_SECTORS)
  words.text(10, 10, hex(disk.uniqueId).slice(0, 20))
  words.text(23, 4, '1.0')
  words.text(27, 20, 'Virtual HD')
  words.set(47, 0x8000 | MULTIPLE_MAX)
  words.set(48, 1) // 32-bit accesses to the Data register
  words.set(49, LBA_DMA_IORDY)
  words.set(50, VALID)
  words.set(53, 7) // words 54 to 58, 64 to 70 and 88 are valid
  const current = cylindersOf(disk.blockCount, disk.heads, disk.sectorsPerTrack)
  words.set(54, current)
  words.set(55, disk.heads)
  words.set(56, disk.sectorsPerTrack)
  words.set32(57, current * disk.heads * disk.sectorsPerTrack)
  if (disk.multiple > 0) words.set(59, 0x0100 | disk.multiple)
  words.set32(60, Math.min(disk.blockCount, LBA28_MAX))
  setModes(words, disk.mode)
  if (disk.canTrim) {
    words.set(69, disk.trimReadsZeros ? 0x4020 : 0)
    words.set(105, TRIM_BLOCKS_MAX)
    words.set(169, 1)
  }
  words.set(80, VERSIONS)
  words.set(82, POWER_MANAGEMENT | WRITE_CACHE | LOOK_AHEAD)
  words.set(83, VALID | LBA48_FLUSH)
  words.set(84, VALID | FUA)
  words.set(85, POWER_MANAGEMENT | LOOK_AHEAD | (disk.writeCache ? WRITE_CACHE : 0))
  words.set(86, LBA48_FLUSH)
  words.set(87, VALID | FUA)
  words.set(93, disk.device === 0 ? 0x600b : 0x6300)
  words.set32(100, disk.blockCount % 2 ** 32)
  words.set32(102, Math.floor(disk.blockCount / 2 ** 32))
  if (disk.physicalBlockBytes > ATA_SECTOR_BYTES) {
    // Several logical sectors to a physical one: 2^n.
    words.set(106, 0x6000 | Math.log2(disk.physicalBlockBytes / ATA_SECTOR_BYTES))
    words.set(209, VALID)
  }
  words.set(217, 1) // does not rotate
  words.seal()
}

/** Fills `out`, 512 bytes, for a DVD drive. */
export function identifyPacket(out: Uint8Array, device: number, mode: TransferMode): void {
  const words = new Words(out)
  words.set(0, 0x85c0) // a CD or DVD device, removable, packets of 12 bytes, DRQ at once
  words.text(10, 10, `${device + 1}`)
  words.text(23, 4, '1.0')
  words.text(27, 20, 'Virtual CD')
  words.set(48, 1)
  words.set(49, LBA_DMA_IORDY)
  words.set(50, VALID)
  words.set(53, 6)
  setModes(words, mode)
  words.set(80, VERSIONS)
  words.set(82, POWER_MANAGEMENT | PACKET | DEVICE_RESET)
  words.set(83, VALID)
  words.set(84, VALID)
  words.set(85, POWER_MANAGEMENT | PACKET | DEVICE_RESET)
  words.set(87, VALID)
  words.set(93, device === 0 ? 0x600b : 0x6300)
  words.seal()
}

export function cylindersOf(blockCount: number, heads: number, sectors: number): number {
  return Math.min(CYLINDERS_MAX, Math.floor(blockCount / (heads * sectors)))
}

function setModes(words: Words, { multiword, ultra }: TransferMode): void {
  words.set(63, MULTIWORD_MODES | (multiword < 0 ? 0 : 0x100 << multiword))
  words.set(64, 3) // PIO 3 and 4
  for (let word = 65; word <= 68; word++) words.set(word, 120) // nanoseconds a cycle
  words.set(88, ULTRA_MODES | (ultra < 0 ? 0 : 0x100 << ultra))
}

class Words {
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    bytes.fill(0, 0, ATA_SECTOR_BYTES)
  }

  set(word: number, value: number): void {
    this.#bytes[word * 2] = value
    this.#bytes[word * 2 + 1] = value >>> 8
  }

  set32(word: number, value: number): void {
    this.set(word, value & 0xffff)
    this.set(word + 1, Math.floor(value / 0x1_0000))
  }

  /** Padded with blanks. */
  text(word: number, count: number, text: string): void {
    const padded = text.padEnd(count * 2)
    for (let i = 0; i < count; i++) {
      this.set(word + i, (padded.charCodeAt(i * 2) << 8) | padded.charCodeAt(i * 2 + 1))
    }
  }

  /** All bytes of the page add up to 0. */
  seal(): void {
    let sum = SIGNATURE
    for (let i = 0; i < 510; i++) sum += this.#bytes[i]!
    this.set(255, ((-sum & 0xff) << 8) | SIGNATURE)
  }
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}
