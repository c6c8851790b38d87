// The services of one partition together: what a root offers, drives and looks at.

import type { VmbusServer } from '@guestyard/vmbus/server'

import { HeartbeatVsp, heartbeatOffer } from './heartbeat.ts'
import type { HeartbeatInspection } from './heartbeat.ts'
import { ShutdownVsp, shutdownOffer } from './shutdown.ts'
import type { ShutdownInspection } from './shutdown.ts'
import { TimeSyncVsp, timeSyncOffer } from './time-sync.ts'
import type { TimeSyncInspection, TimeSyncOptions } from './time-sync.ts'

export interface IntegrationInspection {
  readonly heartbeat: HeartbeatInspection
  readonly shutdown: ShutdownInspection
  readonly timeSync: TimeSyncInspection
}

/** Root thread only. */
export class IntegrationHost {
  readonly heartbeat: HeartbeatVsp
  readonly shutdown: ShutdownVsp
  readonly timeSync: TimeSyncVsp

  constructor(options: TimeSyncOptions) {
    this.heartbeat = new HeartbeatVsp(options)
    this.shutdown = new ShutdownVsp()
    this.timeSync = new TimeSyncVsp(options)
  }

  /** Offers them on a partition's bus. */
  offer(bus: Pick<VmbusServer, 'offer'>): void {
    bus.offer(heartbeatOffer, this.heartbeat)
    bus.offer(shutdownOffer, this.shutdown)
    bus.offer(timeSyncOffer, this.timeSync)
  }

  /** When `wakeDue` has something to do; Infinity: never. */
  get nextDeadlineMs(): number {
    return Math.min(this.heartbeat.nextDeadlineMs, this.timeSync.nextDeadlineMs)
  }

  /** The channels of what is due are polled next. */
  wakeDue(): void {
    this.heartbeat.wakeDue()
    this.timeSync.wakeDue()
  }

  inspect(): IntegrationInspection {
    return {
      heartbeat: this.heartbeat.inspect(),
      shutdown: this.shutdown.inspect(),
      timeSync: this.timeSync.inspect(),
    }
  }
}
