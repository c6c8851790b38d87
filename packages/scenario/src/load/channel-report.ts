/**
 * What a load measured: each repeat merged over its guests, and the repeats summed up by medians.
 */

import type { GuestResult } from './guest-result.ts'
import { mergeLatency } from './latency.ts'
import type { LatencySummary } from './latency.ts'
import type { LoadSettings } from './settings.ts'
import { median, spread } from './statistics.ts'

/** One repeat, all guests together. */
export interface RepeatReport {
  readonly packets: number
  readonly bytes: number
  /** Of the guest that took longest, nanoseconds. */
  readonly elapsedNs: number
  readonly packetsPerSecond: number
  readonly bytesPerSecond: number
  /** Signals of both ends. */
  readonly signals: number
  readonly signalsPerPacket: number
  /** Times an end found its outgoing ring full, both ends. */
  readonly fullRingWaits: number
  /** Times an end woke from sleep, both ends. */
  readonly wakes: number
  /** Packets out of sequence, of a wrong length, or missing, as both ends counted them. */
  readonly sequenceErrors: number
  /** Processors this process kept busy on average while the load ran, warm-up included. */
  readonly processorsUsed: number
  /** CPU seconds of the guests' threads; `null` where the platform does not tell. */
  readonly guestCpuSeconds: number | null
  /** Heap growth of the guests' threads for each packet; `null` where it is not known. */
  readonly heapBytesPerPacket: number | null
  readonly p50Ns: number | null
}

/** A load, over all its repeats. */
export interface ChannelReport {
  readonly settings: LoadSettings
  /** Names of the machines that ran it. */
  readonly vms: readonly string[]
  /** Medians of the repeats. */
  readonly packetsPerSecond: number
  readonly bytesPerSecond: number
  readonly signalsPerPacket: number
  readonly fullRingWaits: number
  readonly processorsUsed: number
  /** (largest - smallest) / median of the repeats' packets a second. */
  readonly spread: number
  /** Sum over the repeats; anything but 0 is a fault of the channel. */
  readonly sequenceErrors: number
  /** All samples of all guests and repeats; `null` when the load records none. */
  readonly latency: LatencySummary | null
  readonly repeats: readonly RepeatReport[]
}

/** What surrounds a repeat: wall time and the CPU time of the whole process. */
export interface RepeatCost {
  readonly wallMs: number
  readonly cpuMs: number
}

/** Merges what the guests of one repeat found. */
export function mergeGuests(results: readonly GuestResult[], cost: RepeatCost): RepeatReport {
  const sum = (pick: (result: GuestResult) => number): number =>
    results.reduce((total, result) => total + pick(result), 0)
  const packets = sum((r) => r.packets)
  const bytes = sum((r) => r.bytes)
  const elapsedNs = Math.max(0, ...results.map((r) => r.elapsedNs))
  const signals = sum((r) => r.signalsSent + r.signalsReceived)
  const cpu = results.map((r) => r.guestCpu)
  const heap = results.map((r) => r.heapBytesPerPacket)
  const latency = mergeLatency(results.map((r) => r.latency?.histogram ?? ''))
  return {
    packets,
    bytes,
    elapsedNs,
    packetsPerSecond: perSecond(packets, elapsedNs),
    bytesPerSecond: perSecond(bytes, elapsedNs),
    signals,
    signalsPerPacket: packets === 0 ? 0 : signals / packets,
    fullRingWaits: sum((r) => r.fullRingWaits + r.peerFullRingWaits),
    wakes: sum((r) => r.wakes + r.peerWakes),
    sequenceErrors: sum(
      (r) => r.sequenceErrors + r.peerSequenceErrors + Math.abs(r.packetsMissing),
    ),
    processorsUsed: cost.wallMs === 0 ? 0 : cost.cpuMs / cost.wallMs,
    guestCpuSeconds: cpu.includes(null) ? null : sum((r) => cpuMicroseconds(r) / 1e6),
    heapBytesPerPacket: heap.includes(null) ? null : Math.max(...heap.map((h) => h ?? 0)),
    p50Ns: latency?.p50Ns ?? null,
  }
}

/** Sums up the repeats of a load; `encoded` are the latency histograms of all of them. */
export function summarizeRepeats(
  settings: LoadSettings,
  vms: readonly string[],
  repeats: readonly RepeatReport[],
  encoded: readonly string[],
): ChannelReport {
  const middle = (pick: (repeat: RepeatReport) => number): number => median(repeats.map(pick))
  return {
    settings,
    vms,
    packetsPerSecond: middle((r) => r.packetsPerSecond),
    bytesPerSecond: middle((r) => r.bytesPerSecond),
    signalsPerPacket: middle((r) => r.signalsPerPacket),
    fullRingWaits: middle((r) => r.fullRingWaits),
    processorsUsed: middle((r) => r.processorsUsed),
    spread: spread(repeats.map((r) => r.packetsPerSecond)),
    sequenceErrors: repeats.reduce((total, repeat) => total + repeat.sequenceErrors, 0),
    latency: mergeLatency(encoded) ?? null,
    repeats,
  }
}

function cpuMicroseconds(result: GuestResult): number {
  const cpu = result.guestCpu
  return cpu === null ? 0 : cpu.userMicroseconds + cpu.systemMicroseconds
}

function perSecond(amount: number, elapsedNs: number): number {
  // Less than a clock can tell is no time; a quotient of it need not even be finite.
  return elapsedNs < 1 ? 0 : (amount / elapsedNs) * 1e9
}
