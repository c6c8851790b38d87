/** Boots the host and its two guests, and says who came up. */

import { startHost } from '@guestyard/management'
import type { Host, Vm } from '@guestyard/management'
import { formatBytes, formatNs } from '@guestyard/scenario'
import type { Progress } from '@guestyard/scenario'

import { abortable } from '../script-run.ts'

export interface BootedGuest {
  readonly name: string
  readonly partitionId: number | null
  readonly memoryBytes: number
  readonly vmbusVersion: string
  readonly offers: number
  /** From `start` to running, as the host sees it. */
  readonly startMs: number
  /** From the guest's first line to its offers, and to its first open channel. */
  readonly bootMs: number
  readonly firstChannelMs: number | null
}

export interface Machine {
  readonly host: Host
  readonly sender: Vm
  readonly receiver: Vm
  readonly boot: { readonly hostMs: number; readonly guests: readonly BootedGuest[] }
}

const MEMORY_BYTES = 64 * 2 ** 20

export async function bootMachine(show: Progress, signal: AbortSignal): Promise<Machine> {
  show.line('Booting')
  const startedMs = performance.now()
  const host = await startHost()
  try {
    const hostMs = performance.now() - startedMs
    show.line(`  hypervisor and root partition: one thread, serving after ${milliseconds(hostMs)}`)
    const guest = (name: string, program: string): Vm =>
      host.createVm({
        name,
        memoryBytes: MEMORY_BYTES,
        program: new URL(`../guests/${program}`, import.meta.url),
      })
    const sender = guest('alpha', 'file-sender.ts')
    const receiver = guest('beta', 'file-receiver.ts')
    const guests = await abortable(
      Promise.all([sender, receiver].map((vm) => bootGuest(host, vm, show))),
      signal,
    )
    show.line('')
    return { host, sender, receiver, boot: { hostMs, guests } }
  } catch (error) {
    await host.close()
    throw error
  }
}

async function bootGuest(host: Host, vm: Vm, show: Progress): Promise<BootedGuest> {
  const startedMs = performance.now()
  const report = await vm.start()
  const startMs = performance.now() - startedMs
  const { partitions } = await host.inspect()
  const partition = partitions.find((of) => of.name === vm.name)
  const booted: BootedGuest = {
    name: vm.name,
    partitionId: partition?.partitionId ?? null,
    memoryBytes: vm.settings.memoryBytes,
    vmbusVersion: `${report.vmbusVersion >>> 16}.${report.vmbusVersion & 0xffff}`,
    offers: report.offers,
    startMs,
    bootMs: report.bootMs,
    firstChannelMs: report.firstChannelMs,
  }
  const channel =
    booted.firstChannelMs === null
      ? ''
      : `, first channel open at ${milliseconds(booted.firstChannelMs)}`
  show.line(
    `  guest ${booted.name}: partition ${booted.partitionId ?? '?'} in its own thread, ` +
      `${formatBytes(booted.memoryBytes)}, VMBus ${booted.vmbusVersion}, ${booted.offers} channels offered, ` +
      `booted in ${milliseconds(booted.bootMs)}${channel}`,
  )
  return booted
}

function milliseconds(ms: number): string {
  return formatNs(ms * 1e6)
}
