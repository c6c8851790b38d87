// Counters of a channel's program, and what a run's STATISTICS say: the difference to where they stood when the
// guest last asked for a fresh start.

import type { RunStatistics } from './answers.ts'
import type { LoadRun } from './load-run.ts'

export class RunCounters {
  /** Signals sent to the guest, over the channel's life. */
  signals = 0
  /** Times the program woke after it had gone to sleep, over the channel's life. */
  wakes = 0
  readonly #base = {
    packetsReceived: 0,
    bytesReceived: 0,
    packetsSent: 0,
    bytesSent: 0,
    fullRingWaits: 0,
    signals: 0,
    wakes: 0,
  }

  /** SETUP or RESET_STATISTICS: the counters of `run` start again. */
  reset(run: LoadRun): void {
    const base = this.#base
    base.packetsReceived = run.checker.packets
    base.bytesReceived = run.checker.bytes
    base.packetsSent = run.packetsSent
    base.bytesSent = run.bytesSent
    base.fullRingWaits = run.fullRingWaits
    base.signals = this.signals
    base.wakes = this.wakes
  }

  /** What `run` did since then. */
  since(run: LoadRun): RunStatistics {
    const base = this.#base
    return {
      packetsReceived: run.checker.packets - base.packetsReceived,
      bytesReceived: run.checker.bytes - base.bytesReceived,
      packetsSent: run.packetsSent - base.packetsSent,
      bytesSent: run.bytesSent - base.bytesSent,
      signalsSent: this.signals - base.signals,
      fullRingWaits: run.fullRingWaits - base.fullRingWaits,
      wakes: this.wakes - base.wakes,
      sequenceErrors: run.checker.errors,
      totalReceived: run.checker.packets,
    }
  }
}
