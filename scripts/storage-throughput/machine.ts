/** The whole machine of the storage figures: a script guest, the hypervisor's signals, the root with its disks, and the same loads. */

import { startHost } from '@guestyard/management'
import type { DiskOptions, Host, Vm } from '@guestyard/management'

import type { TransfersAsked } from '../guests/disk-transfers.ts'
import type { DiskName, Load } from './ends-protocol.ts'

const GUEST = new URL('../guests/disk-transfers.ts', import.meta.url)
const RAM_BYTES = 64 * 1024 * 1024
const FILL_BYTES = 256 * 1024

/** A disk of the machine, and where the guest finds it. */
export interface MachineDisk {
  readonly name: DiskName
  readonly address: string
  readonly options: DiskOptions
}

export class Machine {
  readonly #host: Host
  readonly #vm: Vm
  readonly #disks: readonly MachineDisk[]

  private constructor(host: Host, vm: Vm, disks: readonly MachineDisk[]) {
    this.#host = host
    this.#vm = vm
    this.#disks = disks
  }

  static async start(disks: readonly MachineDisk[]): Promise<Machine> {
    const host = await startHost({ log: { level: 'silent' } })
    const vm = host.createVm({
      name: 'figures',
      memoryBytes: RAM_BYTES,
      program: GUEST,
      disks: disks.map(({ options }) => options),
    })
    await vm.start()
    return new Machine(host, vm, disks)
  }

  async stop(): Promise<void> {
    await this.#vm.stop()
    await this.#host[Symbol.asyncDispose]()
  }

  /** Nanoseconds of a request, of so many. */
  async run(load: Load, requests: number, seed: number): Promise<number> {
    const disk = this.#disks.find(({ name }) => name === load.disk)
    if (disk === undefined) throw new Error(`the machine has no disk "${load.disk}"`)
    const { access, bytes, depth } = load
    const asked: TransfersAsked = { disk: disk.address, access, bytes, depth, requests, seed }
    return Number(await this.#vm.call('transfers', asked))
  }

  /** Writes all of a disk once, so that every block of its image has a place. */
  async fill(disk: DiskName, diskBytes: number): Promise<void> {
    const load: Load = { disk, access: 'sequential-write', bytes: FILL_BYTES, depth: 4 }
    await this.run(load, diskBytes / FILL_BYTES, 1)
  }
}
