export { NetVsc, type NetVscState } from './netvsc.ts'
export type { BufferPages, NetVscListener, NetVscOptions } from './netvsc-options.ts'
export type { ReceivedFrame } from './received-frame.ts'
