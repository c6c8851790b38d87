// The host family's door.
export { LoadVsp, loadOffer } from './load-vsp.ts'
export type { LoadInspection, LoadVspOptions } from './load-vsp.ts'
export type { LoadProgramInspection } from './load-program.ts'
export { RelayHub } from './relay-hub.ts'
export type { MayJoin, RelayHubOptions, RelayInspection } from './relay-hub.ts'
