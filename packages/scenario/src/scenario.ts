/** What a scenario file says: the words people write, before anything is checked. */

import type { SwitchesOptions } from '@guestyard/management'

import type { DiskDefinition, DvdDefinition } from './disk-plan.ts'
import type { NicDefinition } from './nic-plan.ts'
import type { Expect } from './expect.ts'
import type { LoadGenerator } from './load/load-generator.ts'
import type { HostHandle, VmGroup, VmHandle } from './vm-handle.ts'

/** A virtual machine of a scenario. */
export interface VmDefinition {
  /**
   * RAM: `'64 MiB'` or a number of bytes; a multiple of 64 KiB. `{ startup, maximum }` for a machine that `addMemory` may give more
   * while it runs.
   */
  readonly memory:
    | string
    | number
    | { readonly startup: string | number; readonly maximum: string | number }
  /** The guest program, relative to the scenario file; without one the guest waits and takes load. */
  readonly guest?: string | URL
  /**
   * Linux in place of a guest program: Debian's stock kernel, fetched by `guestyard guest fetch linux`. `append` is more for its
   * command line, `folder` where the fetched guest is when not in the cache. `generation` 1 is a PC with a firmware, 2 (the default) a machine
   * without.
   */
  readonly linux?: {
    readonly append?: string
    readonly folder?: string
    readonly generation?: 1 | 2
  }
  /** Plain data for the guest program: `guest.args` there. */
  readonly args?: unknown
  /** Share of the processors beside other machines: 1..10000, 100 when left out. Under the classic and core schedulers. */
  readonly weight?: number
  /** Most of a logical processor it gets: `'25 %'` or a fraction above 0 up to 1; all of one when left out. */
  readonly cap?: string | number
  /** What it is guaranteed of one: `'10 %'` or a fraction from 0 to the cap; nothing when left out. */
  readonly reserve?: string | number
  /**
   * Its relay group: a relay stream joins machines of one group alone, and its id is of the group. `false`: none; `'default'`, where all
   * are, when left out.
   */
  readonly relay?: string | false
  /** How the guest chooses the pages of its rings: `contiguous` (the default) or `scattered`. */
  readonly placement?: 'contiguous' | 'scattered'
  /** Disks that it starts with: `[{ vhdx: 'db.vhdx', size: '1 GiB' }]`, beside the scenario file. */
  readonly disks?: readonly DiskDefinition[]
  /** A DVD drive: an ISO image, `null` for an empty drive, or an object that also says where it is. */
  readonly dvd?: string | URL | null | DvdDefinition
  /** Network adapters: `[{ switch: 'lan' }]`. Machines that name the same switch reach each other. */
  readonly nics?: readonly NicDefinition[]
}

/** What `run` is given. */
export interface ScenarioContext<Names extends string = string> {
  /** The machines by name, and `all` of them. */
  readonly vms: { readonly [Name in Names]: VmHandle } & { readonly all: VmGroup }
  /** The machine they run on. */
  readonly host: HostHandle
  /** The load generator. */
  readonly load: LoadGenerator
  /** Collects checks; a failed one makes the run fail, and does not stop it. */
  readonly expect: Expect
  /** A line for the reader and the report. */
  readonly log: (text: string) => void
  /** Aborts when the run is interrupted. */
  readonly signal: AbortSignal
  /** What runs the machines. Figures of `virtual` follow from declared costs, and may be held to closer bounds. */
  readonly engine: 'threads' | 'virtual'
}

/** A whole scenario; see {@link defineScenario}. */
export interface ScenarioDefinition<Vms extends Record<string, VmDefinition>> {
  /** What the report calls it; the file's name when left out. */
  readonly name?: string
  readonly host?: {
    /** Logical processors the host schedules virtual processors on: 1..64. */
    readonly logicalProcessors?: number
    /** Who decides what runs where: `'root'` (the default), `'classic'` or `'core'`. */
    readonly scheduler?: 'classic' | 'core' | 'root'
    /** Logical processors in a core: 1 (the default) to 8. */
    readonly threadsPerCore?: number
    /** How long a virtual processor runs before another's turn: `'2 ms'` (the default), 100 us to 100 ms. */
    readonly slice?: string
    /** Memory of the machine, in bytes or as a size such as '4 GiB': a virtual machine that does not fit is refused. Default 64 GiB. */
    readonly memory?: number | string
  }
  /**
   * Switches with settings, by name; those that machines name beside them are private. Files are relative to the scenario's. Uplinks want the
   * threads engine.
   */
  readonly switches?: SwitchesOptions
  readonly vms: Vms
  /** What happens. The machines start beside it: wait for `vms.all.started()`. */
  readonly run: (context: ScenarioContext<Extract<keyof Vms, string>>) => Promise<void> | void
}

/** Any scenario, its machines' names forgotten. */
export type Scenario = ScenarioDefinition<Record<string, VmDefinition>>

/**
 * Types a scenario: the names in `vms` are the names that `run` finds. It checks nothing by itself;
 * `loadScenario` and `planScenario` do, and name the field that is wrong.
 */
export function defineScenario<const Vms extends Record<string, VmDefinition>>(
  definition: ScenarioDefinition<Vms>,
): ScenarioDefinition<Vms> {
  return definition
}
