// The page of RAM that a channel's driver has for itself: descriptors for the bus master, and ranges for TRIM.

import { PAGE_SIZE } from '@guestyard/hvdef'

import { PRD_BYTES } from '../../ide/registers.ts'

/** Ranges begin in the page's middle; the table is before them. */
export const RANGES_AT: number = PAGE_SIZE / 2
export const TABLE_ENTRIES_MAX: number = RANGES_AT / PRD_BYTES

export interface DriverScratch {
  readonly pfn: number
  readonly gpa: number
}

export function driverScratch(pfn: number): DriverScratch {
  return { pfn, gpa: pfn * PAGE_SIZE }
}
