// What devices did that their domains do not allow: each counted, the latest few kept.

/** Why a touch or a mapping reached no memory. */
export type DmaFaultReason =
  /** The page is not mapped for this device, or not for this access. */
  | 'not-mapped'
  /** No RAM is there for the partition itself, or not with this right. */
  | 'no-memory'
  /** An overlay page of the hypervisor lies there. */
  | 'overlay'
  /** The page is mapped as often as a domain can count. */
  | 'too-often'

export interface DmaFault {
  readonly device: string
  /** Byte address of the page, or of the first byte touched. */
  readonly gpa: number
  /** `SlatRight` bits: READ when the device would read memory, WRITE when it would write. */
  readonly access: number
  readonly reason: DmaFaultReason
}

/** Faults that are kept; older ones are only counted. */
export const DMA_FAULTS_KEPT = 16

/** Faults of one partition's devices. Root's thread only. */
export class DmaFaultLog {
  count = 0
  readonly #kept: DmaFault[] = []

  add(device: string, gpa: number, access: number, reason: DmaFaultReason): void {
    this.#kept[this.count % DMA_FAULTS_KEPT] = { device, gpa, access, reason }
    this.count++
  }

  /** The faults that were kept, the oldest first. */
  latest(): readonly DmaFault[] {
    if (this.count <= DMA_FAULTS_KEPT) return [...this.#kept]
    const oldest = this.count % DMA_FAULTS_KEPT
    return [...this.#kept.slice(oldest), ...this.#kept.slice(0, oldest)]
  }
}
