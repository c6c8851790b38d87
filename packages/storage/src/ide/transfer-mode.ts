// SET FEATURES, subcommand 3: which mode data travels in. Nothing here is faster or slower for it; the host reads it back.

import type { TransferMode } from './identify.ts'

const [PIO_MAX, MULTIWORD_MAX, ULTRA_MAX] = [4, 2, 2]

/** `value`: bits 7:3 the kind, 2:0 the mode. False, and nothing set, for a mode that the drive does not have. */
export function setTransferMode(mode: TransferMode, value: number): boolean {
  const number = value & 7
  switch (value >>> 3) {
    case 0:
      return number <= 1
    case 1:
      return number <= PIO_MAX
    case 4:
      if (number > MULTIWORD_MAX) return false
      mode.multiword = number
      mode.ultra = -1
      return true
    case 8:
      if (number > ULTRA_MAX) return false
      mode.ultra = number
      mode.multiword = -1
      return true
    default:
      return false
  }
}
