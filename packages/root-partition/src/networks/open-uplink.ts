// Uplinks of this host: its sockets, its files. On the root's thread.

import { readFileSync, statSync } from 'node:fs'

import { hostSockets, tunnelSocket } from '@guestyard/network/file'
import { PcapngError, readPcapng } from '@guestyard/network/pcap'
import { Nat, Player, Tunnel, type Uplink, type VmDirectory } from '@guestyard/network/uplinks'

import { secretOf } from './open-services.ts'
import type { UplinkSpec } from './switch-spec.ts'

export interface UplinkHost {
  readonly clock: { now(): number }
  /** Whose names a NAT knows. */
  readonly directory: VmDirectory
  /** Something came from outside: the root must poll. */
  readonly onWork: () => void
}

/** What lies in the world. */
export type OutsideSpec = Exclude<UplinkSpec, { kind: 'services' }>

export type OpenUplink = (spec: OutsideSpec, mac: string, host: UplinkHost) => Uplink

/** A capture is played from memory. */
const PLAYED_BYTES_MAX = 256 * 2 ** 20

/** Throws a RangeError that says what is wrong, and what the host says of a file or a socket. */
export function openUplink(spec: OutsideSpec, mac: string, host: UplinkHost): Uplink {
  switch (spec.kind) {
    case 'nat': {
      const { clock, directory, onWork } = host
      const { kind: _, ...settings } = spec
      return new Nat({
        ...settings,
        ...{ mac, clock, directory, sockets: hostSockets(onWork), ...secretOf() },
      })
    }
    case 'tunnel':
      return new Tunnel({
        network: spec.network ?? 1,
        open: (onMessage) => tunnelSocket(spec, onMessage, host.onWork),
      })
    case 'player':
      return new Player({
        packets: packetsOf(spec.file),
        ...(spec.speed === undefined ? {} : { speed: spec.speed }),
      })
  }
}

function packetsOf(file: string): { timeUs: number; bytes: Uint8Array }[] {
  const { size } = statSync(file)
  if (size > PLAYED_BYTES_MAX) throw new RangeError(`${file}: ${size} bytes, 256 MiB at most`)
  try {
    return [...readPcapng(readFileSync(file))]
  } catch (error) {
    if (error instanceof PcapngError) throw new RangeError(`${file}: ${error.message}`)
    throw error
  }
}
