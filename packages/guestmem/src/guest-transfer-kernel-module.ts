// Generated from guest-transfer-kernel.wat by scripts/build-kernels.ts. Do not edit.

/** The assembled module, base64. */
export const GUEST_TRANSFER_KERNEL_BASE64: string =
  'AGFzbQEAAAABBwFgA39/fwACJwIIZ3Vlc3RtZW0CdG8CAwGAgAQIZ3Vlc3RtZW0EZnJvbQIDAYCABAMCAQAHCAEEY29w' +
  'eQAACg4BDAAgACABIAL8CgABCw=='
