// What work costs in virtual time. The figures are those of a plausible machine, round and declared, not those of the machine that
// runs the engine: results compare policies and protocols with each other, and are the same everywhere.

/** Nanoseconds of virtual time by what is done. */
export interface CostModel {
  /** A poll of the root, whatever it finds, and each unit of work it did. */
  readonly rootPoll: number
  readonly rootUnit: number
  /** A poll of a VP's kernel, and each unit: a packet, a message, an interrupt. */
  readonly vpPoll: number
  readonly vpUnit: number
  /** What a VP adds for each exit to the hypervisor. */
  readonly hypercall: number
  /** A VP that gets a logical processor: the switch. */
  readonly dispatch: number
  /** A timer's handler or a call that runs on an actor, its own work not counted. */
  readonly task: number
  /** From the ring of a doorbell to the first poll of whoever slept on it; on average: the seed says, from half to one and a half. */
  readonly wake: number
  /** A call from the scenario to a machine or back; on average, as `wake`. */
  readonly control: number
}

export type CostName = keyof CostModel

export const DEFAULT_COSTS: CostModel = {
  rootPoll: 400,
  rootUnit: 200,
  vpPoll: 400,
  vpUnit: 200,
  hypercall: 300,
  dispatch: 2_000,
  task: 1_000,
  wake: 5_000,
  control: 20_000,
}

/** One line a cost, for help and documents. */
export const COST_MEANINGS: Readonly<Record<CostName, string>> = {
  rootPoll: 'a poll of the root',
  rootUnit: 'a unit of its work: a message, a signal, a packet',
  vpPoll: "a poll of a VP's kernel",
  vpUnit: 'a unit of its work: an interrupt, a packet',
  hypercall: 'a hypercall',
  dispatch: 'a VP that is given a logical processor',
  task: "a timer's handler, or a call that is taken up",
  wake: 'from a ring to the first poll of whoever slept; half to one and a half of it',
  control: 'a call from the scenario to a machine, one way; half to one and a half of it',
}

/** A day: more is a mistake. */
const COST_MAX = 86_400e9

/** The defaults with `overrides` put in. Throws a RangeError whose one line names the cost that is wrong. */
export function costModel(overrides: Readonly<Record<string, number>> = {}): CostModel {
  for (const [name, ns] of Object.entries(overrides)) {
    if (!Object.hasOwn(DEFAULT_COSTS, name)) {
      throw new RangeError(`no cost "${name}": ${Object.keys(DEFAULT_COSTS).join(', ')}`)
    }
    const least = name.endsWith('Poll') ? 1 : 0
    if (!Number.isInteger(ns) || ns < least || ns > COST_MAX) {
      throw new RangeError(`${name}: ${ns} is not a whole number of nanoseconds, ${least} or more`)
    }
  }
  return { ...DEFAULT_COSTS, ...overrides }
}
