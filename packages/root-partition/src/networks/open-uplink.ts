// Uplinks of this host: its sockets, its files. On the root's thread.

import { readFileSync, statSync } from 'node:fs'

import { hostSockets, tunnelSocket } from '@guestyard/network/file'
import { PcapngError, readPcapng } from '@guestyard/network/pcap'
import { Nat, Player, Tunnel, type Uplink } from '@guestyard/network/uplinks'

import type { UplinkSpec } from './switch-spec.ts'

export interface UplinkHost {
  readonly clock: { now(): number }
  /** Something came from outside: the root must poll. */
  readonly onWork: () => void
}

export type OpenUplink = (spec: UplinkSpec, mac: string, host: UplinkHost) => Uplink

/** A capture is played from memory. */
const PLAYED_BYTES_MAX = 256 * 2 ** 20

/** Throws a RangeError that says what is wrong, and what the host says of a file or a socket. */
export function openUplink(spec: UplinkSpec, mac: string, host: UplinkHost): Uplink {
  switch (spec.kind) {
    case 'nat': {
      const words = new Uint32Array(1)
      return new Nat({
        address: spec.address,
        mac,
        allow: spec.allow,
        dhcp: spec.dhcp ?? true,
        sockets: hostSockets(host.onWork),
        clock: host.clock,
        random: () => crypto.getRandomValues(words)[0]!,
        secret: crypto.getRandomValues(new Uint8Array(16)),
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
