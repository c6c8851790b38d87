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
]
