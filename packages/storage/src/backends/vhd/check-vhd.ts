// Looking a VHD over. Nothing is written.

import type { BackingFile } from '../backing-file.ts'
import { ImageError } from '../image.ts'
import type { ImageFinding } from '../image.ts'
import { BlockTable } from './block-table.ts'
import { SECTOR_BYTES } from './format.ts'
import { readLayout, readStructure } from './structures.ts'

/** What is wrong with it: the first error, as an opening finds it, or notes about what a power loss has left. */
export function checkVhd(file: BackingFile): readonly ImageFinding[] {
  const findings: ImageFinding[] = []
  const note = (field: string, problem: string): void => {
    findings.push({ severity: 'note', field, problem })
  }
  try {
    const layout = readLayout(file)
    if (layout.kind === 'fixed') return findings
    const table = BlockTable.read(file, layout)
    if (!layout.endFooterFound) {
      note('footer', 'is missing: it is made again from its copy when the image is next written')
      return findings
    }
    const copy = readStructure(file, 'footer copy', 0, SECTOR_BYTES)
    if (copy.some((byte, at) => byte !== layout.footer[at])) {
      findings.push({ severity: 'error', field: 'footer copy', problem: 'differs from the footer' })
    }
    const unused = file.sizeBytes - SECTOR_BYTES - table.endBytes
    if (unused > 0) note('blocks', `nothing is in the last ${unused} bytes before the footer`)
  } catch (error) {
    if (!(error instanceof ImageError)) throw error
    findings.push({ severity: 'error', field: error.field, problem: error.problem })
  }
  return findings
}
