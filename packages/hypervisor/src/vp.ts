// The door for a VP's own thread: the part of the hypervisor that runs there, without the authority that runs with the root.
export { VirtualProcessor } from './virtual-processor.ts'
export { NMI_VECTOR } from './apic.ts'
export { HYPERCALL_CONTINUED } from './hypercalls.ts'
export { SAVED_VP_VERSION, type SavedMsr, type SavedVp } from './saved-state.ts'
export type { SavedTimer } from './time/synthetic-timers.ts'
export type { AccessSize, InterceptOutcome, InterceptUnit } from './intercepts/intercept-unit.ts'
