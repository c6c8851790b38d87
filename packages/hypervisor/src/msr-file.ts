// The MSRs that one VP can reach: the table's rows, filtered by privilege, found by number.

import { hasPrivilege } from '@guestyard/hvdef'
import type { PrivilegeMask } from '@guestyard/hvdef'

import type { MsrValue } from './msr-value.ts'
import { SYNTHETIC_MSRS } from './synthetic-msrs.ts'
import type { MsrRegisters, MsrRow } from './synthetic-msrs.ts'

/** Synthetic MSRs begin here. */
const FIRST = 0x4000_0000

export class MsrFile {
  readonly #registers: MsrRegisters
  /** By number less FIRST. */
  readonly #rows: (MsrRow | undefined)[] = []

  constructor(privileges: PrivilegeMask, registers: MsrRegisters) {
    this.#registers = registers
    for (const row of SYNTHETIC_MSRS) {
      if (row.privilege !== null && !hasPrivilege(privileges, row.privilege)) continue
      for (let index = 0; index < row.count; index++) this.#rows[row.msr - FIRST + index] = row
    }
  }

  /** False is #GP. */
  read(msr: number, out: MsrValue): boolean {
    const row = this.#rows[msr - FIRST]
    if (row === undefined || row.read === null) return false
    row.read(this.#registers, msr - row.msr, out)
    return true
  }

  /** False is #GP. */
  write(msr: number, low: number, high: number): boolean {
    const row = this.#rows[msr - FIRST]
    if (row === undefined || row.write === null) return false
    return row.write(this.#registers, msr - row.msr, low, high)
  }
}
