// A client connected to a host of bytes, with a channel in the making, and ears for what it says.

import type { ChannelProgram } from '@guestyard/vmbus'
import type { ChannelListener, ClientChannel } from '@guestyard/vmbus/client'
import { RawHost } from './raw-host.ts'

export const RING = 0xe1e10
export const OPTIONS = { sendBytes: 4096, receiveBytes: 4096 }

export class Heard implements ChannelListener {
  readonly said: string[] = []
  program: ChannelProgram | undefined = undefined
  opened(): ChannelProgram | undefined {
    this.said.push('opened')
    return this.program
  }
  failed(_: ClientChannel, reason: unknown): void {
    this.said.push(`failed ${String(reason)}`)
  }
  closed(_: ClientChannel, reason: string): void {
    this.said.push(`closed ${reason}`)
  }
  modified(_: ClientChannel, targetVp: number | undefined): void {
    this.said.push(`modified ${String(targetVp)}`)
  }
}

export class Program implements ChannelProgram {
  polls = 0
  closed = 0
  poll(): number {
    this.polls += 1
    return 0
  }
  arm(): boolean {
    return false
  }
  disarm(): void {}
  close(): void {
    this.closed += 1
  }
}

/** A client with offers 1 (and sub-channel 2 of it), and 3. */
export function connected(): RawHost {
  const host = new RawHost()
  host.connect()
  return host
}

export function opening(
  host = connected(),
  relid = 1,
): { host: RawHost; heard: Heard; channel: ClientChannel } {
  const heard = new Heard()
  const offer = host.client.offers().find((o) => o.relid === relid) ?? host.offer(relid)
  const channel = host.client.open(offer, OPTIONS, heard)
  if (channel === undefined) throw new Error('The client did not open.')
  return { host, heard, channel }
}

export function opened(host = connected(), relid = 1): ReturnType<typeof opening> {
  const all = opening(host, relid)
  host.created(relid, all.channel.ringGpadlId)
  host.openResult(relid)
  host.take()
  return all
}
