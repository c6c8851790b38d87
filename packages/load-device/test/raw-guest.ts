// A guest without a driver: it writes what a test tells it to, and shows what the host sends.

import { PACKET_TYPE_DATA_INBAND } from '@guestyard/hvdef'
import type { ClientChannel } from '@guestyard/vmbus/client'
import {
  LOAD_VERSION,
  LoadEndOfStream,
  LoadErrorPacket,
  LoadHeader,
  LoadKind,
  LoadSetup,
  LoadStatistics,
} from '@guestyard/load-device/protocol'
import type { LoadMode } from '@guestyard/load-device/protocol'
import { LoadBench } from '@guestyard/load-device/testing'
import type { LoadBenchOptions } from '@guestyard/load-device/testing'

/** One packet from the host. */
export interface HostPacket {
  readonly kind: number
  readonly sequence: number
  readonly bytes: Uint8Array<ArrayBuffer>
}

export class RawGuest {
  readonly bench: LoadBench
  readonly channel: ClientChannel

  constructor(options: LoadBenchOptions = {}) {
    this.bench = new LoadBench(options)
    this.channel = this.bench.channel
  }

  /** Writes one packet and lets the host see it. False when the ring took it not. */
  send(payload: Uint8Array, type: number = PACKET_TYPE_DATA_INBAND): boolean {
    const { outgoing } = this.channel
    outgoing.staging.set(payload)
    const signal = outgoing.send(0, payload.length, type, 0, 0, 0)
    if (signal === 1) this.channel.signal()
    this.bench.loopback.pump()
    return signal >= 0
  }

  setup(mode: LoadMode, changes: Partial<Parameters<typeof LoadSetup.pack>[0]> = {}): void {
    this.send(
      LoadSetup.pack({
        sequence: 0,
        kind: LoadKind.SETUP,
        version: LOAD_VERSION,
        mode,
        payloadBytes: 16,
        batch: 4,
        streamId: 0n,
        ...changes,
      }),
    )
  }

  /** A DATA packet of 16 bytes. */
  data(sequence: number): void {
    const packet = new Uint8Array(16)
    packet.set(LoadHeader.pack({ sequence, kind: LoadKind.DATA, unusedBytes: 0 }))
    this.send(packet)
  }

  end(packets: number): void {
    const kind = LoadKind.END_OF_STREAM
    this.send(LoadEndOfStream.pack({ sequence: packets, kind, packets: BigInt(packets) }))
  }

  header(kind: LoadKind): void {
    this.send(LoadHeader.pack({ sequence: 0, kind, unusedBytes: 0 }))
  }

  /** Up to `most` packets that came. */
  receive(most = 1024): HostPacket[] {
    const { incoming } = this.channel
    const count = incoming.drain(most)
    const seen: HostPacket[] = []
    for (let index = 0; index < count; index += 1) {
      const at = incoming.payloadAt(index)
      const bytes = incoming.arena.slice(at, at + incoming.payloadLength(index))
      const { kind, sequence } = LoadHeader.decode(new DataView(bytes.buffer))
      seen.push({ kind, sequence, bytes })
    }
    if (incoming.commit()) this.channel.signal()
    this.bench.loopback.pump()
    return seen
  }

  /** Kinds of what came. */
  kinds(): number[] {
    return this.receive().map((packet) => packet.kind)
  }
}

export function statisticsOf(packet: HostPacket | undefined) {
  if (packet?.kind !== LoadKind.STATISTICS) throw new Error('The host sent no statistics.')
  return LoadStatistics.decode(new DataView(packet.bytes.buffer))
}

export function errorOf(packet: HostPacket | undefined): number {
  if (packet?.kind !== LoadKind.ERROR) throw new Error('The host sent no error.')
  return LoadErrorPacket.decode(new DataView(packet.bytes.buffer)).error
}
