export { NetVsc } from './netvsc.ts'
export type { NetVscState } from './netvsc-state.ts'
export type { BufferPages, NetVscListener, NetVscOptions } from './netvsc-options.ts'
export type { ReceivedFrame } from './received-frame.ts'
