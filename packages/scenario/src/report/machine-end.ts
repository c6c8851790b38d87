/** A machine's state at the end of a run; text and page say it alike. */

import type { VmReport } from '../run-scenario.ts'
import { describeExit } from '../vm-handle.ts'

/** `off, stopped`; of a machine that was started again since, `running (earlier: stopped)`. */
export function describeEnd({ state, exit }: Pick<VmReport, 'state' | 'exit'>): string {
  if (exit === null) return state
  const ended = state === 'off' || state === 'failed'
  return ended ? `${state}, ${describeExit(exit)}` : `${state} (earlier: ${describeExit(exit)})`
}
