export { IdeDriver, type IdeDriverOptions } from './ide-driver.ts'
export { StepKind, type GuestPorts, type PortStep } from './port-step.ts'
