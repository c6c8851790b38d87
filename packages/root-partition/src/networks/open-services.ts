// The station of a switch that nothing lies beyond. It needs no host: either engine has it.

import { Services, type VmDirectory } from '@guestyard/network/uplinks'

import type { UplinkSpec } from './switch-spec.ts'

/** What a stack must not share with those it serves. */
export function secretOf(): { readonly random: () => number; readonly secret: Uint8Array } {
  const words = new Uint32Array(1)
  return {
    random: () => crypto.getRandomValues(words)[0]!,
    secret: crypto.getRandomValues(new Uint8Array(16)),
  }
}

/** Throws a RangeError that says what is wrong. */
export function openServices(
  spec: Extract<UplinkSpec, { kind: 'services' }>,
  mac: string,
  host: { readonly clock: { now(): number }; readonly directory: VmDirectory },
): Services {
  const { kind: _, ...settings } = spec
  const { clock, directory } = host
  return new Services({ ...settings, mac, clock, directory, ...secretOf() })
}
