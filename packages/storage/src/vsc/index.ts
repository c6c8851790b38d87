export { StorVsc } from './storvsc.ts'
export type { StorVscState } from './storvsc.ts'
export type { StorVscListener, StorVscOptions } from './storvsc-options.ts'
export type { DriverChannel, StorLane } from './stor-lane.ts'
export { StorOutcome, StorRequest } from './stor-request.ts'
export type { RequestDone } from './stor-request.ts'
export type { StorUnit } from './lun-scan.ts'
export {
  UNMAP_LIST_BYTES,
  encodeUnmapList,
  inquiry,
  modeSense6,
  readBlocks,
  readCapacity16,
  reportLuns,
  synchronizeCache,
  testUnitReady,
  unmapBlocks,
  writeBlocks,
  writeZeroes,
} from './commands.ts'
export { SenseKey, additionalSense, failureText, saysUnitsChanged, senseKey } from './sense.ts'
