/** Medians and spreads of repeated measurements. */

/** The middle value, or the mean of the two middle ones; NaN of an empty list. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle]
  if (upper === undefined) return Number.NaN
  if (sorted.length % 2 === 1) return upper
  return ((sorted[middle - 1] ?? upper) + upper) / 2
}

/** How far the repeats lie apart: (largest - smallest) / median; 0 for fewer than two values. */
export function spread(values: readonly number[]): number {
  if (values.length < 2) return 0
  const middle = median(values)
  return middle === 0 ? 0 : (Math.max(...values) - Math.min(...values)) / middle
}

/** The median of pairwise ratios of two interleaved series: what one machine's speeds leave fair. */
export function medianRatio(over: readonly number[], under: readonly number[]): number {
  const ratios: number[] = []
  for (const [index, value] of over.entries()) {
    const below = under[index]
    if (below !== undefined && below !== 0) ratios.push(value / below)
  }
  return median(ratios)
}
