// The host's program on a bare ring pair: no bus polls it, so that a test says when it is polled, armed and woken, and
// writes what a guest could write in between.

import { RingFault, createRingLink, openRingLink } from '@guestyard/ring'
import type { RingPort } from '@guestyard/ring'
import type { ChannelProgram } from '@guestyard/vmbus'
import {
  LOAD_VERSION,
  LoadHeader,
  LoadKind,
  LoadSetup,
  type LoadMode,
} from '@guestyard/load-device/protocol'
import type { LoadVsp } from '@guestyard/load-device/vsp'
import { openBareHost } from './bare-host.ts'

const DATA_INBAND = 6

export class HostEnd {
  readonly guest: RingPort
  readonly vsp: LoadVsp
  readonly program: ChannelProgram
  /** Control words of the ring that the guest sends in; the guest may write them all. */
  readonly controlWords: Int32Array
  readonly failures: (number | string)[] = []

  constructor(ringBytes: number) {
    const link = createRingLink(ringBytes)
    this.guest = openRingLink(link, 'a')
    const host = openRingLink(link, 'b')
    const memory = link.shared as { readonly buffer: SharedArrayBuffer }
    this.controlWords = new Int32Array(memory.buffer, 0, 1024)
    const opened = openBareHost(host, {
      onFail: (reason) => {
        this.failures.push(reason)
      },
    })
    this.vsp = opened.vsp
    this.program = opened.program
  }

  /** False when the ring took it not. */
  send(payload: Uint8Array): boolean {
    this.guest.outgoing.staging.set(payload)
    return this.guest.outgoing.send(0, payload.length, DATA_INBAND, 0, 0, 0) >= 0
  }

  setup(mode: LoadMode, payloadBytes: number, batch = 1): void {
    const kind = LoadKind.SETUP
    const version = LOAD_VERSION
    this.send(
      LoadSetup.pack({ sequence: 0, kind, version, mode, payloadBytes, batch, streamId: 1n }),
    )
  }

  data(sequence: number, payloadBytes: number): boolean {
    const packet = new Uint8Array(payloadBytes)
    packet.set(LoadHeader.pack({ sequence, kind: LoadKind.DATA, unusedBytes: 0 }))
    return this.send(packet)
  }

  /** DATA packets that the program has handled. */
  get handled(): number {
    return this.vsp.inspect().channels[0]?.packetsReceived ?? 0
  }

  /** Takes everything that came; how many packets. */
  receive(): number {
    let count = 0
    for (let got = 1; got > 0; count += got) got = Math.max(0, this.guest.incoming.drain(1024))
    if (this.guest.incoming.fault !== RingFault.NONE) throw new Error("The guest's ring broke.")
    this.guest.incoming.commit()
    return count
  }
}
