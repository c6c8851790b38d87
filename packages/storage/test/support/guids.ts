import type { Guid } from '@guestyard/hvdef'

/** GUIDs in a row: `00000001-…`, `00000002-…`. */
export function guidCounter(from = 0): () => Guid {
  let count = from
  return () => {
    count += 1
    return `${count.toString(16).padStart(8, '0')}-1111-4222-8333-444444444444`
  }
}
