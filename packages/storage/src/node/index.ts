export { IMAGE_FORMATS, type ImageFormat } from './image-format.ts'
export { lockImage, type ImageLock } from './image-lock.ts'
export { createBackingFile, openBackingFile, type FileOptions } from './node-file.ts'
export { openImage, type OpenImageOptions } from './open-image.ts'
