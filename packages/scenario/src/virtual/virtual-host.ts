// The host of the virtual engine: the root partition as one actor, a VM's processor as another, and no thread at all.

import { schedulerSettings, switchSpecs, vmSettings } from '@guestyard/management'
import { createCaptureFile } from '@guestyard/network/file'
import type { HostOptions, VmOptions } from '@guestyard/management'
import { RootPartition, openDisk } from '@guestyard/root-partition'
import type { VpDoorbells } from '@guestyard/root-partition'
import { BusLog } from '@guestyard/root-partition'
import type { RootInspection } from '@guestyard/root-partition/worker-protocol'
import type { VirtualActor } from '@guestyard/engine/virtual'

import type { ScenarioHost } from '../vm-handle.ts'
import { EPOCH_MS } from './virtual-globals.ts'
import { LateDoorbell, VirtualVm } from './virtual-vm.ts'
import type { VirtualVmHost } from './virtual-vm.ts'
import type { VirtualWorld } from './virtual-world.ts'

const NS_PER_US = 1_000
const ROOT_SPIN_US = 20
const VMS_MAX = 256

export class VirtualHost implements ScenarioHost {
  readonly world: VirtualWorld
  readonly root: VirtualActor
  readonly partition: RootPartition
  readonly #vms: Map<string, VirtualVm> = new Map()
  readonly #vmHost: VirtualVmHost
  readonly #doorbells: LateDoorbell[] = []
  #closing: Promise<void> | null = null

  constructor(world: VirtualWorld, options: HostOptions) {
    const log = world.logger({ component: 'vmms' })
    this.world = world
    const { logicalProcessors = 2 } = options
    const rootLog = world.logger({ component: 'root-partition' })
    const busLog = new BusLog(rootLog, world.clock)
    this.partition = new RootPartition({
      clock: world.clock,
      clockOriginMs: 0,
      unixMs: () => EPOCH_MS + world.clock.nowMs,
      logicalProcessors,
      ...(options.hostMemoryBytes === undefined
        ? {}
        : { hostMemoryBytes: options.hostMemoryBytes }),
      scheduler: schedulerSettings(options, logicalProcessors),
      onOverdue: (overdue) => rootLog.warn(overdue, 'a VP does not stop when told to'),
      openDoorbells: () => this.#openDoorbells(),
      closeDoorbells: () => {},
      onBusEvent: (partitionId, event) => busLog.write(partitionId, event),
      onDeleted: (partitionId) => busLog.forget(partitionId),
      // A flush is done when it returns, so that what follows it is the seed's choice alone.
      openDisk: (spec, wake) => openDisk(spec, { flush: 'sync', wake, clock: world.clock }),
      onOutsideWork: () => this.root.ring(),
      openCapture: createCaptureFile,
      trace: world.trace,
    })
    this.root = world.engine.addActor({
      name: 'root',
      kind: 'root',
      machine: this.partition,
      choreMs: () => this.partition.nextChoreMs(),
      spinNs:
        options.rootStrategy === 'busy'
          ? Infinity
          : (options.rootSpinMicroseconds ?? ROOT_SPIN_US) * NS_PER_US,
    })
    for (const spec of switchSpecs(options.switches ?? {})) {
      const reason = this.partition.networks.define(spec)
      if (reason !== null) throw new RangeError(`switches.${spec.name}: ${reason}`)
    }
    this.#vmHost = {
      world,
      root: this.root,
      partition: this.partition,
      takeDoorbells: () => this.#doorbells.splice(0),
      onState: (vm) => log.info({ vm: vm.name, state: vm.state }, 'VM state'),
    }
  }

  createVm(options: VmOptions): VirtualVm {
    const settings = vmSettings(options)
    if (this.#closing !== null) throw new Error('the host is closing')
    if (this.#vms.has(settings.name)) {
      throw new RangeError(`name: there is a VM "${settings.name}" already`)
    }
    if (this.#vms.size >= VMS_MAX) throw new RangeError(`a host has at most ${VMS_MAX} VMs`)
    const vm = new VirtualVm(settings, this.#vmHost)
    this.#vms.set(settings.name, vm)
    return vm
  }

  get vms(): readonly VirtualVm[] {
    return [...this.#vms.values()]
  }

  inspect(): Promise<RootInspection> {
    return this.world.ask(this.root, null, () => ({
      ...this.partition.inspect(),
      engine: { polls: this.root.polls, busyNs: this.root.busyNs },
      cpuMicroseconds: this.root.busyNs / NS_PER_US,
    }))
  }

  close(graceMs: number = 500): Promise<void> {
    this.#closing ??= Promise.all(this.vms.map((vm) => vm.stop(graceMs))).then(() =>
      this.partition.networks.close(),
    )
    return this.#closing
  }

  /** The actor has the processor for good. False when it is no guest's. */
  hang(actor: number): boolean {
    const vm = this.vms.find((one) => one.isActor(actor))
    vm?.hang()
    return vm !== undefined
  }

  #openDoorbells(): VpDoorbells {
    const vp = new LateDoorbell()
    this.#doorbells.push(vp)
    return { vp, vpBuffer: new SharedArrayBuffer(64), rootBuffer: new SharedArrayBuffer(64) }
  }
}
