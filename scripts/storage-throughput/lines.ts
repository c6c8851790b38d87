/** The lines of the storage figures: who moves which blocks, what that is held to, and how far it may be from it. */

import type { Access, DiskName, Load } from './ends-protocol.ts'

/** Who moves the blocks: a script guest, driver and controller alone, or the file's own calls. */
export type Mover = 'guest' | 'ends' | 'bare'

export interface Line {
  readonly what: string
  readonly by: Mover
  readonly load: Load
  /** What it is held to; null: a rate of its own. */
  readonly over: { readonly by: Mover; readonly load: Load } | null
  /** What is judged: a rate over the other's, a time over the other's, or requests a second. */
  readonly goal: { readonly is: 'rate' | 'time' | 'per-second'; readonly value: number }
}

const KIB = 1024

const random4k = (disk: DiskName, depth: number): Load => ({
  disk,
  access: 'random-read',
  bytes: 4 * KIB,
  depth,
})
const sequential = (access: Access): Load => ({ disk: 'raw', access, bytes: 256 * KIB, depth: 4 })

/** A line held to bare transfers of the same kind. */
function overBare(what: string, by: Mover, load: Load, goal: Line['goal']): Line {
  return { what: `${by}: ${what}`, by, load, over: { by: 'bare', load }, goal }
}

const BY_BOTH: readonly Line[] = (['guest', 'ends'] as const).flatMap((by) => [
  overBare('4 KiB random reads, depth 32, file', by, random4k('raw', 32), {
    is: 'rate',
    value: 0.7,
  }),
  overBare('4 KiB random reads, depth 1, file', by, random4k('raw', 1), { is: 'time', value: 3 }),
  overBare('256 KiB sequential reads, file', by, sequential('sequential-read'), {
    is: 'rate',
    value: 0.9,
  }),
  overBare('256 KiB sequential writes, file', by, sequential('sequential-write'), {
    is: 'rate',
    value: 0.9,
  }),
  {
    what: `${by}: 4 KiB random reads, depth 32, memory`,
    by,
    load: random4k('memory', 32),
    over: null,
    goal: { is: 'per-second', value: 1_000_000 },
  },
])

export const LINES: readonly Line[] = [
  ...BY_BOTH,
  {
    what: 'guest: 4 KiB random reads, depth 32, dynamic VHDX over raw file',
    by: 'guest',
    load: random4k('vhdx', 32),
    over: { by: 'guest', load: random4k('raw', 32) },
    goal: { is: 'rate', value: 0.9 },
  },
]
