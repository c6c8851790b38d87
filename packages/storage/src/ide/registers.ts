// Registers of an IDE channel and their bits (ATA/ATAPI-6, T13 1410D, clauses 7 and 8; bus master: SFF-8038i, "Programming
// Interface for Bus Master IDE Controller" 1.0). Both families read them: the controller and the driver.

/** Offsets in the command block, as a write has them; reads of 1 and 7 are Error and Status. */
export const AtaRegister = {
  DATA: 0,
  FEATURES: 1,
  COUNT: 2,
  LBA_LOW: 3,
  LBA_MID: 4,
  LBA_HIGH: 5,
  DEVICE: 6,
  COMMAND: 7,
} as const
export const ATA_STATUS: number = AtaRegister.COMMAND

export const AtaStatus = {
  ERR: 0x01,
  DRQ: 0x08,
  /** Seek complete, of disks; service, of packet devices. */
  DSC: 0x10,
  DF: 0x20,
  DRDY: 0x40,
  BSY: 0x80,
} as const

export const AtaError = { ABRT: 0x04, IDNF: 0x10, UNC: 0x40 } as const

/** Error register after a reset or a diagnosis: the device is well. */
export const DIAGNOSTIC_PASSED = 0x01

/** Bits of the Device register. */
export const AtaDevice = { DEV: 0x10, LBA: 0x40 } as const

/** Bits of Device Control. */
export const AtaControl = { NIEN: 0x02, SRST: 0x04, HOB: 0x80 } as const

/** Count register of a packet device: why it asks for attention. */
export const InterruptReason = { COMMAND: 0x01, TO_HOST: 0x02 } as const

/** Registers of a channel's bus master. */
export const BusMasterRegister = { COMMAND: 0, STATUS: 2, TABLE: 4 } as const
export const BusMasterCommand = { START: 0x01, TO_MEMORY: 0x08 } as const
export const BusMasterStatus = {
  ACTIVE: 0x01,
  ERROR: 0x02,
  INTERRUPT: 0x04,
  /** Software's notes: device 0 and 1 were set up for DMA. */
  CAPABLE: 0x60,
} as const

/** A physical region descriptor: u32 address, u16 bytes (0: 64 KiB), u16 flags. */
export const PRD_BYTES = 8
export const PRD_END_OF_TABLE = 0x8000_0000

/** Where a PC has its two channels. */
export const IDE_CHANNELS = [
  { command: 0x1f0, control: 0x3f6, irq: 14 },
  { command: 0x170, control: 0x376, irq: 15 },
] as const
export const COMMAND_BLOCK_PORTS = 8
/** Bus master ports: 8 for each channel. Firmware may place them elsewhere. */
export const BUS_MASTER_BASE = 0xffa0
export const BUS_MASTER_PORTS = 16

export const ATA_SECTOR_BYTES = 512
