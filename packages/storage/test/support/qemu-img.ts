import { spawnSync } from 'node:child_process'

/** Undefined when it is there; else why tests that need it are skipped. */
export const noQemuImg: string | undefined =
  spawnSync('qemu-img', ['--version']).error === undefined
    ? undefined
    : 'qemu-img is not installed (qemu-utils)'
if (noQemuImg !== undefined) console.warn(`skipped: ${noQemuImg}`)

/** Runs it. Throws with what it said when it failed. */
export function qemuImg(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync('qemu-img', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`qemu-img ${args.join(' ')}: ${stdout}${stderr}`)
  return stdout
}
