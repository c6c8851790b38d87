// Generated from copy-kernel.wat by scripts/build-kernels.ts. Do not edit.

/** The assembled module, base64. */
export const COPY_KERNEL_BASE64: string =
  'AGFzbQEAAAABBwFgA39/fwACKQIIZ3Vlc3RtZW0FbG9jYWwCAAEIZ3Vlc3RtZW0GcmVtb3RlAgMBgIAEAwcGAAAAAAAA' +
  'B0wGCHRvUmVtb3RlAAAHdG9Mb2NhbAABDHdpdGhpblJlbW90ZQACC3dpdGhpbkxvY2FsAAMKZmlsbFJlbW90ZQAECWZp' +
  'bGxMb2NhbAAFCk0GDAAgACABIAL8CgEACwwAIAAgASAC/AoAAQsMACAAIAEgAvwKAQELDAAgACABIAL8CgAACwsAIAAg' +
  'ASAC/AsBCwsAIAAgASAC/AsACw=='
