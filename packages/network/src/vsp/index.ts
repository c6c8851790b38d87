export { NetVsp, networkOffer } from './netvsp.ts'
export type { NetVspInspection, NetVspOptions } from './netvsp.ts'
export type { NetStateName } from './net-state.ts'
