// What a machine guest is beside its RAM, as a record that a file can hold.

import type { SavedVp } from '@guestyard/hypervisor'

/** Of the record. A change of its shape is another number. */
export const SAVED_MACHINE_VERSION = 1

/** Plain data. */
export interface SavedMachine {
  readonly version: number
  /** Time of the processor's own devices, in milliseconds: they name it in their registers. */
  readonly deviceMs: number
  /** Executed so far. */
  readonly instructions: number
  /** Its system has reported a crash. */
  readonly hasCrashed: boolean
  /** The processor package's own format, RAM left out. */
  readonly processor: Uint8Array
  readonly vp: SavedVp
}

/** What was saved can't be gone on with. Its message says why, on one line. */
export class SavedStateError extends Error {
  override readonly name = 'SavedStateError'
}

/** Throws a SavedStateError for what is no record of this version. What is in a VP's is checked by the VP. */
export function checkSavedMachine(saved: SavedMachine): void {
  const { version, deviceMs, instructions, hasCrashed, processor, vp } = saved
  if (version !== SAVED_MACHINE_VERSION) {
    throw new SavedStateError(`it was saved by another version (${String(version)})`)
  }
  const isWhole =
    Number.isFinite(deviceMs) &&
    Number.isSafeInteger(instructions) &&
    typeof hasCrashed === 'boolean' &&
    processor instanceof Uint8Array &&
    typeof vp === 'object'
  if (!isWhole) throw new SavedStateError('it is no record of a machine')
}
