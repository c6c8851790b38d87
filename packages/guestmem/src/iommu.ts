// The IOMMU of one partition: a DMA domain for each of its devices, and the record of what they did wrong.

import type { GuestMemory } from './guest-memory.ts'
import { DmaDomain, type DmaDomainInspection } from './dma-domain.ts'
import { type DmaFault, DmaFaultLog } from './dma-faults.ts'
import type { Slat, SlatWatcher } from './slat.ts'

/** Root's thread only. */
export class Iommu implements SlatWatcher {
  readonly memory: GuestMemory
  readonly slat: Slat
  readonly #log: DmaFaultLog = new DmaFaultLog()
  readonly #domains: Map<string, DmaDomain> = new Map()

  constructor(memory: GuestMemory, slat: Slat) {
    this.memory = memory
    this.slat = slat
    slat.watch(this)
  }

  /** The domain of a device, made when it has none. `device` names it in faults: class and instance. */
  domain(device: string): DmaDomain {
    let domain = this.#domains.get(device)
    if (domain === undefined) {
      domain = new DmaDomain(device, this.memory, this.slat, this.#log)
      this.#domains.set(device, domain)
    }
    return domain
  }

  /** The device is gone. Its domain goes once nothing is mapped: until then this is false, and nothing happens. */
  remove(domain: DmaDomain): boolean {
    if (domain.inUse) return false
    if (this.#domains.get(domain.device) === domain) this.#domains.delete(domain.device)
    return true
  }

  pagesChanged(firstPage: number, pageCount: number): void {
    for (const domain of this.#domains.values()) domain.pagesChanged(firstPage, pageCount)
  }

  inspect(): IommuInspection {
    return {
      domains: [...this.#domains.values()].map((domain) => domain.inspect()),
      faults: this.#log.count,
      latestFaults: this.#log.latest(),
    }
  }
}

/** What `inspect` answers. */
export interface IommuInspection {
  readonly domains: readonly DmaDomainInspection[]
  /** Faults of all devices, ever. */
  readonly faults: number
  /** The latest sixteen. */
  readonly latestFaults: readonly DmaFault[]
}
