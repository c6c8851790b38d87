// What must hold of a hypervisor after every hypercall, whoever made it: every page of the machine accounted for, and partitions that only
// go forward through their life.

import {
  VPS_MAX,
  type Hypervisor,
  type Partition,
  type PartitionState,
} from '@guestyard/hypervisor'

const ORDER: readonly PartitionState[] = ['created', 'active', 'finalized']

export class FuzzInvariants {
  readonly #hypervisor: Hypervisor
  readonly #partitionsMax: number
  readonly #states: Map<number, PartitionState> = new Map()
  /** The id that was given last. */
  lastId = 0

  constructor(hypervisor: Hypervisor, partitionsMax: number) {
    this.#hypervisor = hypervisor
    this.#partitionsMax = partitionsMax
  }

  /** Ids of the partitions that there are. */
  get ids(): readonly number[] {
    return [...this.#states.keys()]
  }

  /** Throws an Error with what does not hold. */
  check(): void {
    this.#checkPages()
    this.#checkPartitions()
  }

  #checkPages(): void {
    const { pageCount, freePages, rootPages, partitions } = this.#hypervisor.hostMemory.inspect()
    let held = freePages + rootPages
    for (const { ramPages, deposited, inUse } of partitions) {
      hold(inUse >= 0 && inUse <= deposited, 'a partition uses more pages than it was given')
      held += ramPages + deposited
    }
    hold(held === pageCount, `${held} of ${pageCount} pages are accounted for`)
  }

  #checkPartitions(): void {
    const { partitions } = this.#hypervisor
    hold(partitions.size <= this.#partitionsMax, 'there are more partitions than there may be')
    const { polled } = partitions
    for (const partition of partitions.values()) {
      this.#checkLife(partition)
      const there = partition.vps.filter((vp) => vp !== undefined)
      hold(
        there.length === 0 || polled.includes(partition),
        'the pass leaves out a partition that has VPs',
      )
      hold(partition.vps.length <= VPS_MAX, 'a partition has more VPs than it may have')
      hold(
        partition.state === 'active' || there.length === 0,
        'a partition that is not active has VPs',
      )
      const { connections } = partition.inspect()
      hold(partition.alive || connections.length === 0, 'a finalized partition has connections')
      for (const { id } of connections) hold(id <= 0xff_ffff, 'a connection id has 24 bits')
    }
    for (const id of this.#states.keys()) {
      if (partitions.get(id) !== undefined) continue
      hold(this.#states.get(id) === 'finalized', 'a partition went without being finalized')
      this.#states.delete(id)
    }
    hold(
      polled.every((one) => partitions.get(one.id) === one),
      'the pass looks at a partition that is gone',
    )
    hold(new Set(polled).size === polled.length, 'the pass looks at a partition twice')
  }

  #checkLife({ id, state }: Partition): void {
    const before = this.#states.get(id)
    if (before === undefined) {
      hold(id > this.lastId, 'an id was given twice')
      this.lastId = id
    } else {
      hold(ORDER.indexOf(state) >= ORDER.indexOf(before), `a partition went back to ${state}`)
    }
    this.#states.set(id, state)
  }
}

export function hold(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what)
}
