import type { Guest } from '@guestyard/child-partition'

/** Words of a VP page, and the one in which the root grants a processor and takes it back. */
const GRANT = 3
const NO_PROCESSOR = 0

/** Has its kernel see the latest grant for ever: it polls, answers whoever asks, and gives no processor back. */
export async function main(guest: Guest): Promise<void> {
  const { load } = Atomics
  let grant = 0
  const blind = (words: Int32Array, index: number): number => {
    const value = load(words, index)
    if (index !== GRANT) return value
    if ((value & 0xff) !== NO_PROCESSOR) grant = value
    return grant === 0 ? value : grant
  }
  Atomics.load = blind as typeof Atomics.load
  while (!guest.signal.aborted) await guest.compute(1_000)
}
