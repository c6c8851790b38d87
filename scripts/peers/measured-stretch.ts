/** The stretch of a task that counts, and the clock it is measured with. */

/** Warm-up, then the measured stretch; says where the latter began. */
export function inPhases(
  task: { readonly warmUpMs: number; readonly measureMs: number },
  step: () => void,
  count: () => number,
): { readonly from: number; readonly fromMs: number } {
  for (const untilMs = now() + task.warmUpMs; now() < untilMs;) step()
  const from = count()
  const fromMs = now()
  for (const untilMs = fromMs + task.measureMs; now() < untilMs;) step()
  return { from, fromMs }
}

/** Milliseconds on a clock that all threads of the process share. */
export function now(): number {
  return performance.timeOrigin + performance.now()
}
