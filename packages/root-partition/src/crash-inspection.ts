// A guest's crash report as plain data, for people.

import type { CrashReport } from '@guestyard/hypervisor'

export interface CrashInspection {
  /** VP that wrote the report. */
  readonly vp: number
  /** CRASH_P0 to P4, hexadecimal; the guest's system decides what they mean. */
  readonly parameters: readonly string[]
  /** At most 4096 bytes of the guest's, read as UTF-8; empty when there is none. */
  readonly message: string
}

export function inspectCrash({ vp, parameters, message }: CrashReport): CrashInspection {
  return {
    vp,
    parameters: parameters.map((parameter) => `0x${parameter.toString(16)}`),
    message: new TextDecoder().decode(message),
  }
}
