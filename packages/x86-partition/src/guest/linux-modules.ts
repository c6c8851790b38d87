// What a Linux guest needs of its kernel's modules: the drivers of the bus, and file systems for its disks.

/** As `modprobe` spells them; what they need comes with them. */
export const LINUX_MODULES: readonly string[] = [
  'hv_vmbus',
  'hv_utils',
  'hv_storvsc',
  'sd_mod',
  'sr_mod',
  'hv_netvsc',
  'hyperv_keyboard',
  'hid_hyperv',
  'evdev',
  'hv_balloon',
  'crc32c_generic',
  'ext4',
  'ata_piix',
  'ne2k_pci',
]

/** Drivers of what a machine of generation 1 alone has, with what only they need. */
const LEGACY_MODULES: ReadonlySet<string> = new Set(['libata', 'ata_piix', '8390', 'ne2k_pci'])

/** Whether a machine of this generation has a use for a module, by its name as `modprobe` spells it. */
export function isUsedBy(generation: 1 | 2, module: string): boolean {
  return generation === 1 || !LEGACY_MODULES.has(module)
}
