// The hypervisor's page: 4 KiB, whatever page size a guest uses for itself.

/** Bytes of a page. */
export const PAGE_SIZE = 4096
/** Shift from an address to its page number. Addresses above 2^32 need a division: shifts are 32-bit. */
export const PAGE_SHIFT = 12
/** Mask of the offset within a page. */
export const PAGE_OFFSET_MASK = 0xfff

/**
 * Pages touched by `lengthBytes` bytes that begin `offsetBytes` into the first page: the PFNs
 * that follow a range header. Zero bytes touch no page. Both are non-negative and exact below 2^53.
 */
export function pagesCovering(offsetBytes: number, lengthBytes: number): number {
  if (lengthBytes === 0) return 0
  const end = (offsetBytes % PAGE_SIZE) + lengthBytes
  return Math.ceil(end / PAGE_SIZE)
}
