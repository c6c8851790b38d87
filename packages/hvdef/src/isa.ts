// Interrupts of devices that a PC has at fixed places. None of this is Hyper-V's: it is where firmware leaves the lines of a machine
// that has no interrupt controller to program.

/** Lines there are: ISA interrupt 0 to 15. */
export const ISA_LINES = 16
/** ISA interrupt n is this vector plus n. */
export const ISA_VECTOR_BASE = 0x30
