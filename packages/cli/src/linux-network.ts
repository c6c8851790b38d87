/** The network of `guestyard linux`: what `--nic`, `--allow` and `--pcap` come to. */

import { resolve } from 'node:path'

import { startHost, type Host, type HostOptions } from '@guestyard/management'
import type { NatRule } from '@guestyard/network/uplinks'
import { InputError } from '@guestyard/scenario'

export interface LinuxNetwork {
  /** It leads to the world, and gives the guest an address. */
  readonly isNat: boolean
  readonly allow: readonly NatRule[]
  /** A file of every frame. */
  readonly pcap: string | null
}

/** Name of the switch. */
export const SWITCH = 'lan'
const GATEWAY = '10.0.0.254/24'

/** Null: no adapter. Throws an `InputError` that names the flag. */
export function networkOf(flags: {
  readonly nic?: string
  readonly allow: readonly string[]
  readonly pcap?: string
}): LinuxNetwork | null {
  const { nic, allow, pcap } = flags
  if (nic !== undefined && nic !== 'nat' && nic !== 'private') {
    throw new InputError('--nic', `expected nat or private, got '${nic}'`)
  }
  if (allow.length > 0 && nic !== 'nat') throw new InputError('--allow', 'goes with --nic nat')
  if (pcap !== undefined && nic === undefined) throw new InputError('--pcap', 'goes with --nic')
  if (nic === undefined) return null
  return {
    isNat: nic === 'nat',
    allow: allow.map((whom) => ruleOf(whom)),
    pcap: pcap === undefined ? null : resolve(pcap),
  }
}

/** Starts a host with that switch. What is wrong with a rule or the capture's file is told by its flag. */
export async function networkHost(
  network: LinuxNetwork | null,
  log: NonNullable<HostOptions['log']>,
): Promise<Host> {
  if (network === null) return startHost({ log })
  const { isNat, allow, pcap } = network
  const lan = {
    ...(isNat && { uplink: { kind: 'nat', address: GATEWAY, allow } as const }),
    ...(pcap !== null && { capture: pcap }),
  }
  try {
    return await startHost({ log, switches: { [SWITCH]: lan } })
  } catch (error) {
    const [, problem] = /^switches\.lan: (.*)$/s.exec((error as Error).message) ?? []
    if (problem === undefined) throw error
    throw new InputError(problem.startsWith('allow') ? '--allow' : '--pcap', problem)
  }
}

function ruleOf(whom: string): NatRule {
  const [, to = whom, first, last] = /^([^:]*)(?::([0-9]+)(?:-([0-9]+))?)?$/.exec(whom) ?? []
  if (first === undefined) return { to }
  return { to, ports: [Number(first), Number(last ?? first)] }
}
