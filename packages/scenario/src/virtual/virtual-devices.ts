// The devices that a VM's worker process emulates, in virtual time: exits travel to them and back as over a control port, and what they
// work on by themselves happens at its time. All of it in the root's turn.

import { HvStatus, assert } from '@guestyard/hvdef'
import { EmulatedMachine, IdeDisks, type VmSettings } from '@guestyard/management'
import { openDisk, type RootPartition } from '@guestyard/root-partition'
import type { PartitionStart, VpExit } from '@guestyard/root-partition/worker-protocol'
import type { VirtualActor } from '@guestyard/engine/virtual'

import type { VirtualWorld } from './virtual-world.ts'

const NS_PER_MS = 1e6

export interface VirtualDevicesHost {
  readonly world: VirtualWorld
  readonly root: VirtualActor
  readonly partition: RootPartition
}

export class VirtualDevices {
  readonly machine: EmulatedMachine
  readonly #host: VirtualDevicesHost
  readonly #ide: IdeDisks | null
  #partitionId = 0
  #cancel: () => void = () => {}

  /** Opens the VM's IDE disks. Throws, in one line, when one is none or does not fit. */
  constructor(settings: VmSettings, host: VirtualDevicesHost) {
    const { world } = host
    const log = world.logger({ component: 'vmwp', vm: settings.name, device: 'serial' })
    this.#host = host
    this.machine = new EmulatedMachine((line) => log.info({}, line))
    const disks = settings.disks.filter((disk) => disk.controllerType === 'ide')
    this.#ide = disks.length === 0 ? null : new IdeDisks(this.machine)
    // A flush is done when it returns: no disk wakes anybody.
    const options = { flush: 'sync', wake: () => {}, clock: world.clock } as const
    try {
      for (const spec of disks) this.#ide?.attach(spec, (one) => openDisk(one, options))
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** The partition is there, and has no owners of intercepts yet. */
  serve(start: PartitionStart): void {
    this.#partitionId = start.partitionId
    this.#ide?.bind(start)
    const owned = this.#host.partition
      .interceptsOf(start.partitionId)
      ?.own(this.machine.ranges, { take: (exit) => this.#take(exit) })
    assert(owned === HvStatus.SUCCESS, 'A new partition has no devices yet.')
  }

  /** The VM is over: its images are free afterwards. */
  close(): void {
    this.#cancel()
    this.#ide?.close()
    while (this.#ide?.isClosed() === false);
  }

  #take(exit: VpExit): void {
    const { world, root, partition } = this.#host
    const answer = this.machine.answer(exit)
    while (this.machine.poll());
    void world.ask(root, null, () => {
      this.#setLines()
      partition.interceptsOf(this.#partitionId)?.complete(exit.vp, exit.sequence, answer)
      root.ring()
      this.#workOn()
    })
  }

  /** At the time that the earliest of them has named. */
  #workOn(): void {
    const { world, root, partition } = this.#host
    this.#cancel()
    const inMs = this.machine.nextDeadlineMs() - world.clock.nowMs
    const isOver = partition.interceptsOf(this.#partitionId) === undefined
    if (isOver || inMs === Number.POSITIVE_INFINITY) return
    this.#cancel = root.post(Math.max(0, inMs) * NS_PER_MS, () => {
      while (this.machine.poll());
      this.#setLines()
      this.#workOn()
    })
  }

  #setLines(): void {
    const { root, partition } = this.#host
    const lines = this.machine.takeLines()
    for (const { line, asserted } of lines) partition.setLine(this.#partitionId, line, asserted)
    if (lines.length > 0) root.ring()
  }
}
