export { AtaCommand, AtaFeature } from './commands.ts'
export type { PacketTarget } from './atapi-drive.ts'
export type { IdeMemory } from './bus-master.ts'
export {
  IdeController,
  type IdeControllerOptions,
  type IdeDriveInspection,
  type IdeInspection,
  type IdePosition,
  type PortRange,
} from './controller.ts'
export {
  AtaControl,
  AtaDevice,
  AtaError,
  AtaRegister,
  AtaStatus,
  ATA_SECTOR_BYTES,
  BUS_MASTER_BASE,
  BusMasterCommand,
  BusMasterRegister,
  BusMasterStatus,
  IDE_CHANNELS,
  InterruptReason,
  PRD_BYTES,
  PRD_END_OF_TABLE,
} from './registers.ts'
