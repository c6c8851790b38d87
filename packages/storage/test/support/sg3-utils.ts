import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Undefined when they are there; else why tests that need them are skipped. */
export const noSg3Utils: string | undefined =
  spawnSync('sg_vpd', ['--version']).error === undefined
    ? undefined
    : 'sg_inq, sg_vpd and sg_decode_sense are not installed (sg3-utils)'
if (noSg3Utils !== undefined) console.warn(`skipped: ${noSg3Utils}`)

/** What `sg_inq` or `sg_vpd` reads in the bytes of an answer. */
export function decodeAnswer(tool: 'sg_inq' | 'sg_vpd', bytes: Uint8Array): string {
  const directory = mkdtempSync(join(tmpdir(), 'guestyard-sg3-'))
  try {
    const file = join(directory, 'answer.hex')
    writeFileSync(file, hexadecimal(bytes).join(' '))
    return run(tool, [`--inhex=${file}`])
  } finally {
    rmSync(directory, { recursive: true })
  }
}

/** What `sg_decode_sense` reads in sense data. */
export function decodeSense(bytes: Uint8Array): string {
  return run('sg_decode_sense', hexadecimal(bytes))
}

function hexadecimal(bytes: Uint8Array): string[] {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0'))
}

function run(tool: string, args: string[]): string {
  const { status, stdout, stderr } = spawnSync(tool, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${tool} ${args.join(' ')}: ${stdout}${stderr}`)
  return stdout
}
