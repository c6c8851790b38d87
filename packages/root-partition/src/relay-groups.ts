// Which partitions can relay streams to each other. Each group has a hub of its own: a stream id names a stream of the
// group, and a partition of another one can neither take an end of it nor learn that it exists.

import { RelayHub, type MayJoin, type RelayHubOptions } from '@guestyard/load-device/vsp'

/** The group of partitions whose settings name none. */
const RELAY_GROUP_DEFAULT = 'default'

/** Root thread only. */
export class RelayGroups {
  readonly #options: RelayHubOptions
  readonly #groups: Map<string, RelayHub> = new Map()
  /** Partitions of each group. */
  readonly #members: Map<RelayHub, number> = new Map()

  constructor(mayJoin?: MayJoin) {
    this.#options = mayJoin === undefined ? {} : { mayJoin }
  }

  /** Groups that have a partition. */
  get size(): number {
    return this.#groups.size
  }

  /** The hub for a partition of `group`; `false`: one in which it may join nothing. */
  join(group: string | false = RELAY_GROUP_DEFAULT): RelayHub {
    if (group === false) return new RelayHub({ mayJoin: () => false })
    let hub = this.#groups.get(group)
    if (hub === undefined) {
      hub = new RelayHub(this.#options)
      this.#groups.set(group, hub)
    }
    this.#members.set(hub, (this.#members.get(hub) ?? 0) + 1)
    return hub
  }

  /** A partition is gone that `join` gave this hub. A group that has none left is forgotten. */
  leave(hub: RelayHub): void {
    const members = this.#members.get(hub)
    if (members === undefined) return
    if (members > 1) {
      this.#members.set(hub, members - 1)
      return
    }
    this.#members.delete(hub)
    for (const [group, known] of this.#groups) if (known === hub) this.#groups.delete(group)
  }
}
