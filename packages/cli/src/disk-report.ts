/** What `guestyard disk` prints. */

import { formatBytes } from '@guestyard/scenario'
import type { ImageCheck, ImageInfo } from '@guestyard/storage/file'

/** The work on an image failed in the middle: one line, exit code 1. */
export class DiskError extends Error {
  override readonly name = 'DiskError'
}

export function jsonLine(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`
}

/** One fact a line. */
export function infoLines(info: ImageInfo): string {
  const lines = [
    `${info.path}: ${info.format}, ${info.kind}`,
    `  disk      ${formatBytes(info.sizeBytes)} (${info.sizeBytes} bytes)`,
    `  blocks    ${info.logicalBlockBytes} bytes, physically ${info.physicalBlockBytes}`,
    `  file      ${formatBytes(info.fileBytes)}, of which the host keeps ${formatBytes(info.hostBytes)}`,
  ]
  if (info.blockBytes !== null) lines.push(`  grows by  ${formatBytes(info.blockBytes)}`)
  if (info.diskId !== null) lines.push(`  disk id   ${info.diskId}`)
  for (const parent of info.parents) lines.push(`  parent    ${parent}`)
  if (info.parentProblem !== null) lines.push(`  chain     broken: ${info.parentProblem}`)
  return `${lines.join('\n')}\n`
}

/** One finding a line, and what they come to. */
export function checkLines(check: ImageCheck): string {
  const { path, format, findings } = check
  const errors = findings.filter((finding) => finding.severity === 'error').length
  const lines = findings.map(
    ({ severity, field, problem }) => `${path}: ${severity}: ${field}: ${problem}`,
  )
  if (format === 'raw') {
    lines.push(`${path}: a raw image has nothing to check`)
  } else {
    const damage = `damaged (${errors === 1 ? '1 error' : `${errors} errors`})`
    lines.push(`${path}: ${errors === 0 ? 'sound' : damage}`)
  }
  return `${lines.join('\n')}\n`
}
