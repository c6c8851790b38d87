// Generated from transfer-kernel.wat by scripts/build-kernels.ts. Do not edit.

/** The assembled module, base64. */
export const TRANSFER_KERNEL_BASE64: string =
  'AGFzbQEAAAABBwFgA39/fwACIQIIZ3Vlc3RtZW0CdG8CAAEIZ3Vlc3RtZW0EZnJvbQIAAQMCAQAHCAEEY29weQAACg4B' +
  'DAAgACABIAL8CgABCw=='
