// The switches of a host, from what callers write to plain data.

import type { SwitchSpec, UplinkSpec } from '@guestyard/root-partition/worker-protocol'

/** A switch as callers write it. Those that VMs name and nobody defines are private: nothing lies beyond them. */
export type SwitchOptions = Omit<SwitchSpec, 'name'>

/** By name. */
export type SwitchesOptions = Readonly<Record<string, SwitchOptions>>

const NAME_LENGTH_MAX = 64
const FIELDS = ['uplink', 'managementOS', 'capacityBitsPerSecond', 'capture']
const ROOT_FIELDS = ['address', 'name']
const UPLINK_FIELDS: Readonly<Record<UplinkSpec['kind'], readonly string[]>> = {
  nat: ['kind', 'address', 'allow', 'dhcp', 'domain', 'names'],
  services: ['kind', 'address', 'dhcp', 'domain'],
  tunnel: ['kind', 'local', 'remote', 'network'],
  player: ['kind', 'file', 'speed'],
}

/** Checks what the root does not: names, fields and their kinds. Throws a `RangeError` of one line: `switches.lan.uplink.kind: …`. */
export function switchSpecs(switches: SwitchesOptions): readonly SwitchSpec[] {
  return Object.entries(switches).map(([name, options]) => {
    const field = `switches.${name}`
    if (name.length === 0 || name.length > NAME_LENGTH_MAX) {
      throw new RangeError(`${field}: expected a name of 1 to ${NAME_LENGTH_MAX} characters`)
    }
    checkFields(options, FIELDS, field)
    const { uplink, managementOS, capture, capacityBitsPerSecond } = options
    if (capture !== undefined && (typeof capture !== 'string' || capture === '')) {
      throw new RangeError(`${field}.capture: expected the name of a file`)
    }
    if (capacityBitsPerSecond !== undefined && !(capacityBitsPerSecond > 0)) {
      throw new RangeError(`${field}.capacityBitsPerSecond: expected a number over 0`)
    }
    if (uplink !== undefined) checkUplink(uplink, `${field}.uplink`)
    if (managementOS !== undefined) {
      checkFields(managementOS, ROOT_FIELDS, `${field}.managementOS`)
      for (const [key, value] of Object.entries(managementOS)) {
        if (typeof value === 'string') continue
        throw new RangeError(`${field}.managementOS.${key}: expected text`)
      }
      if (managementOS.address === undefined) {
        throw new RangeError(`${field}.managementOS.address: is missing, such as 10.0.0.1/24`)
      }
    }
    return { ...options, name }
  })
}

function checkUplink(uplink: UplinkSpec, field: string): void {
  const { kind } = Object(uplink) as { readonly kind: unknown }
  if (kind !== 'nat' && kind !== 'services' && kind !== 'tunnel' && kind !== 'player') {
    throw new RangeError(`${field}.kind: expected 'nat', 'services', 'tunnel' or 'player'`)
  }
  checkFields(uplink, UPLINK_FIELDS[kind], field)
  if (uplink.kind === 'nat' && uplink.names !== undefined && !Array.isArray(uplink.names)) {
    throw new RangeError(`${field}.names: expected a list of names`)
  }
  if (uplink.kind === 'nat' && !Array.isArray(uplink.allow)) {
    throw new RangeError(`${field}.allow: expected a list of rules; nobody is reached without one`)
  }
}

function checkFields(value: object, known: readonly string[], field: string): void {
  if (typeof value !== 'object' || value === null) {
    throw new RangeError(`${field}: expected an object`)
  }
  const unknown = Object.keys(value).find((key) => !known.includes(key))
  if (unknown === undefined) return
  throw new RangeError(`${field}.${unknown}: unknown field (known: ${known.join(', ')})`)
}
