import type { SchedulerSettings } from '@guestyard/root-partition/worker-protocol'

/** How the host shares its processors out. */
export interface SchedulerOptions {
  /**
   * `root` (default): the host's own scheduler decides, weights and caps do not apply. `classic`: by weight, cap and reserve. `core`: as
   * classic, and the threads of one core run one VM at a time.
   */
  readonly scheduler?: 'classic' | 'core' | 'root'
  /** Logical processors in a core, 1..8; default 1. The number of logical processors is a multiple of it. */
  readonly threadsPerCore?: number
  /** How long a VP runs before another gets its turn: 0.1 to 100 ms; default 2. */
  readonly sliceMs?: number
}

const POLICIES: ReadonlySet<string> = new Set(['classic', 'core', 'root'])
const THREADS_PER_CORE_MAX = 8
const SLICE_MS_MIN = 0.1
const SLICE_MS_MAX = 100
const SLICE_MS_DEFAULT = 2
/** Slices in a period, in which caps and reserves are kept: one of 4 % still is a slice. */
const SLICES_PER_PERIOD = 25

/** Fills in defaults. Throws a `RangeError` whose one line names the field, its value and what is allowed. */
export function schedulerSettings(
  options: SchedulerOptions,
  logicalProcessors: number,
): SchedulerSettings {
  const { scheduler = 'root', threadsPerCore = 1, sliceMs = SLICE_MS_DEFAULT } = options
  if (!POLICIES.has(scheduler)) {
    throw new RangeError(`host.scheduler: ${scheduler} is not classic, core or root`)
  }
  if (!(sliceMs >= SLICE_MS_MIN && sliceMs <= SLICE_MS_MAX)) {
    throw new RangeError(
      `host.sliceMs: ${sliceMs} is not a number from ${SLICE_MS_MIN} to ${SLICE_MS_MAX}`,
    )
  }
  if (
    !Number.isInteger(threadsPerCore) ||
    threadsPerCore < 1 ||
    threadsPerCore > THREADS_PER_CORE_MAX
  ) {
    throw new RangeError(
      `host.threadsPerCore: ${threadsPerCore} is not a whole number from 1 to ${THREADS_PER_CORE_MAX}`,
    )
  }
  if (logicalProcessors % threadsPerCore !== 0) {
    throw new RangeError(
      `host.threadsPerCore: ${logicalProcessors} logical processors are no whole cores of ${threadsPerCore}`,
    )
  }
  return { policy: scheduler, threadsPerCore, sliceMs, periodMs: sliceMs * SLICES_PER_PERIOD }
}
