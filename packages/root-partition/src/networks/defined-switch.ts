// A switch that was asked for by name before anything was plugged in: its uplink, and its capture. It stays until the root ends.

import type { FrameTap, SwitchPort, VirtualSwitch } from '@guestyard/network'
import { PcapngWriter, PortCapture, type CaptureSink } from '@guestyard/network/pcap'
import type { RootAdapter, Uplink, VmDirectory } from '@guestyard/network/uplinks'

/** A capture's file. */
export interface CaptureOutput extends CaptureSink {
  readonly failure: string | undefined
  flush(): void
  close(): void
}

/** Captured bytes are in the file this long after, while the root polls. */
const FLUSH_MS = 500

/** Every port of a switch that is a guest's, into one file. */
export class SwitchCapture {
  readonly #output: CaptureOutput
  readonly #capture: PortCapture
  #flushMs = 0

  constructor(output: CaptureOutput, nowUs: () => number, traceId: () => number) {
    this.#output = output
    this.#capture = new PortCapture(new PcapngWriter(output), { nowUs, traceId })
  }

  /** A port was connected. */
  add(port: SwitchPort & { tap: FrameTap | null }): void {
    this.#capture.add(port)
  }

  poll(nowMs: number): void {
    if (nowMs < this.#flushMs) return
    this.#flushMs = nowMs + FLUSH_MS
    this.#output.flush()
  }

  close(): void {
    this.#output.close()
  }

  /** Why it takes no more; null while it does. */
  get failure(): string | null {
    return this.#output.failure ?? null
  }
}

export interface DefinedSwitch {
  readonly switch: VirtualSwitch
  readonly uplink: Uplink | null
  readonly managementOS: RootAdapter | null
  /** Its machines by name, for an uplink that knows names. */
  readonly directory: VmDirectory
  readonly capture: SwitchCapture | null
}
