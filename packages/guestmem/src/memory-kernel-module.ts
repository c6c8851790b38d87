// Generated from memory-kernel.wat by scripts/build-kernels.ts. Do not edit.

/** The assembled module, base64. */
export const MEMORY_KERNEL_BASE64: string =
  'AGFzbQEAAAABBwFgA39/fwACFwEIZ3Vlc3RtZW0GbWVtb3J5AgMBgIAEAwMCAAAHDwIEY29weQAABGZpbGwAAQoaAgwA' +
  'IAAgASAC/AoAAAsLACAAIAEgAvwLAAs='
