// What the driver's programs do one after the other: an access to a port, or waiting for the channel's interrupt. A program yields a step
// and goes on with what it read; whoever runs programs makes the accesses, each of which may leave the guest and come back later.

export const StepKind = { IN: 0, OUT: 1, INTERRUPT: 2 } as const
export type StepKind = (typeof StepKind)[keyof typeof StepKind]

/** One step. A program has one of these and fills it again and again. */
export interface PortStep {
  kind: StepKind
  port: number
  size: 1 | 2 | 4
  value: number
}

/** Yields steps, is resumed with the value of an IN (0 after others), returns a result. */
export type PortProgram<T> = Generator<PortStep, T, number>

/** The guest's way to ports: what the kernel of a script guest has. */
export interface GuestPorts {
  /**
   * Makes an IN or OUT. `ended` is called once, never from within this call, with what was read: 0 for an OUT, all ones when the access
   * failed.
   */
  access(step: PortStep, ended: (value: number) => void): void
}
