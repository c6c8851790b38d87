export { BootError } from './boot/boot-error.ts'
export type { BootImage, BootSegment } from './boot/boot-image.ts'
export {
  linuxBootImage,
  linuxFirmwareImage,
  parseKernel,
  type LinuxBoot,
  type LinuxKernel,
} from './boot/linux-boot.ts'
export { packedKernel, type PackedKernel } from './boot/packed-kernel.ts'
export type { FirmwareFile } from './boot/firmware-config.ts'
export {
  isMultiboot,
  multibootImage,
  type MultibootBoot,
  type MultibootModule,
} from './boot/multiboot.ts'
export { acpiTables, MMIO_WINDOW, type AcpiImage } from './boot/acpi-tables.ts'
export { amlBytes, type AmlObject, type AmlResource, type AmlValue } from './boot/aml.ts'
export { cpioArchive, type CpioEntry } from './guest/cpio.ts'
export { ExecChannel, type ExecResult } from './guest/exec-channel.ts'
export { initramfs, type InitramfsOptions, type KernelModule } from './guest/initramfs.ts'
export { dependenciesOf, inLoadOrder, moduleName } from './guest/module-order.ts'
export {
  MachineGuest,
  type MachineGuestOptions,
  type MachineInspection,
} from './machine/machine-guest.ts'
export {
  KernelHost,
  type KernelHostOptions,
  type KernelMessageHandler,
} from './machine/kernel-host.ts'
export type { MachineLog } from './machine/machine-log.ts'
export { PortMap, type PortRange } from './machine/port-map.ts'
export { SavedStateError, type SavedMachine } from './machine/saved-machine.ts'
export { InstructionClock } from './machine/instruction-clock.ts'
export { DEBUG_EXIT_PORT, type MachineEnd } from './machine/platform-ports.ts'
export type { IdeImage, PcBoard } from './processor/pc-board.ts'
export { PortDevices, type AccessBytes, type PortDevice } from './processor/ports.ts'
export { V86Mismatch } from './processor/adapt.ts'
export { MACHINE_PRIVILEGES, MACHINE_ROOMS, RAM_GRANULE_BYTES } from './machine/partition-needs.ts'
