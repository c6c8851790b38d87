// The host's program over a bare ring end: no bus polls it, and nobody sleeps. For tests and benches.

import type { RingPort } from '@guestyard/ring'
import type { ChannelProgram } from '@guestyard/vmbus'
import type { ServerChannel } from '@guestyard/vmbus/server'
import { LOAD_CLASS_ID, LOAD_INSTANCE_ID } from '@guestyard/load-device'
import { LoadVsp, RelayHub } from '@guestyard/load-device/vsp'

export interface BareHostOptions {
  /** Joins the relay streams of several hosts; one of its own when left out. */
  readonly hub?: RelayHub
  readonly partitionKey?: number
  /** The program gave its channel up. Throws when left out. */
  readonly onFail?: (reason: number | string) => void
}

export interface BareHost {
  readonly vsp: LoadVsp
  readonly program: ChannelProgram
}

/** Opens the load device on `port`, as a server would for a channel; the program is awake. */
export function openBareHost(port: RingPort, options: BareHostOptions = {}): BareHost {
  const channel: Omit<ServerChannel, 'domain'> = {
    relid: 1,
    incoming: port.incoming,
    outgoing: port.outgoing,
    targetVp: 0,
    userDefined: new Uint8Array(120),
    subChannelIndex: 0,
    subChannelCount: 0,
    classId: LOAD_CLASS_ID,
    instanceId: LOAD_INSTANCE_ID,
    busVersion: 0,
    signal: () => {},
    wake: () => {},
    offerSubChannels: () => 0,
    gpadl: () => undefined,
    completeOpen: () => {},
    completeClose: () => {},
    fail: options.onFail ?? failed,
  }
  const partitionKey = options.partitionKey ?? 1
  const vsp = new LoadVsp({ hub: options.hub ?? new RelayHub(), partitionKey })
  const program = vsp.open(channel as ServerChannel) as ChannelProgram
  program.disarm()
  return { vsp, program }
}

function failed(reason: number | string): never {
  throw new Error(`The channel failed: ${reason}.`)
}
