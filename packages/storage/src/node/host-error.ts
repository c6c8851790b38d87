// What the host's file system says, in the words of this package.

import { ImageError } from '../backends/image.ts'

/** `ENOSPC`; empty for what is no error of the system's. */
export function errorCode(error: unknown): string {
  const { code } = Object(error) as { code?: unknown }
  return typeof code === 'string' ? code : ''
}

export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** What the system refused, as one line about the file; anything else as it is. */
export function asImageError(path: string, error: unknown): unknown {
  const code = errorCode(error)
  if (error instanceof ImageError || code === '') return error
  return new ImageError(path, '', PROBLEMS.get(code) ?? errorText(error))
}

const PROBLEMS: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'no such file or folder'],
  ['EEXIST', 'exists already'],
  ['EISDIR', 'is a folder'],
  ['ENOTDIR', 'a part of the path is not a folder'],
  ['EACCES', 'permission denied'],
  ['EPERM', 'not permitted'],
  ['EROFS', 'the file system is read-only'],
  ['ENOSPC', 'no space left on the host'],
  ['EDQUOT', 'no space left in the quota'],
  ['ELOOP', 'its links lead in a circle'],
  ['ENAMETOOLONG', 'the name is too long'],
])
