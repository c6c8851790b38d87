/**
 * A whole Debian as a guest: debootstrap makes it, an image of it is the guest's disk on hv_storvsc, its systemd is process 1. It has to come
 * up without a failed unit, to know where it runs, and to leave a sound file system when it turns itself off.
 */

import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'

import { startHost, type Vm } from '@guestyard/management'
import { createProgress, type Progress } from '@guestyard/scenario'
import { linuxCacheFolder, readManifest } from '@guestyard/x86-partition/node'

import { abortable, flagError, runScript } from './script-run.ts'

const HELP = `A whole Debian with systemd as a guest, from debootstrap to its own poweroff.

  npx node scripts/linux-debian.ts [options]

  --mirror URL  a Debian mirror; default: http://deb.debian.org/debian
  --image FILE  boots this image (ext4, raw) and keeps it; one that is missing is made there
  --help        this text

Example:
  npx guestyard guest fetch linux && sudo npx node scripts/linux-debian.ts

Needs debootstrap and mkfs.ext4 (Debian: apt-get install debootstrap), root, and a mirror; where they are missing it says so, and ends with 0. Takes
up to ten minutes.
`

const SUITE = 'bookworm'
const PACKAGES = 'systemd-sysv,dbus,udev'
const IMAGE_SIZE = '768M'
const MEMORY_BYTES = 256 * 2 ** 20
const OUTPUT_MAX = 64 * 2 ** 20
const UP_WITHIN_SECONDS = 480
/** Commands are served before systemd listens, so that `--wait` would have nobody to ask. */
const STATE =
  `for i in $(seq ${UP_WITHIN_SECONDS}); do state=$(systemctl is-system-running 2>/dev/null); ` +
  'case "$state" in running | degraded) break ;; esac; sleep 1; done; echo "$state"'
const PATH = `${process.env['PATH']}:/usr/sbin:/sbin`

interface Flags {
  readonly mirror: string
  readonly image: string | null
}

const run = promisify(execFile)

await runScript(
  () => readFlags(process.argv.slice(2)),
  async ({ mirror, image }, signal) => {
    const missing = await whatIsMissing(image)
    if (missing !== null) {
      process.stdout.write(`skipped: ${missing}\n`)
      return true
    }
    const progress = createProgress(process.stderr)
    const folder = mkdtempSync(join(tmpdir(), 'guestyard-debian-'))
    try {
      const path = image ?? join(folder, 'debian.img')
      if (!isFile(path)) await makeImage(path, folder, mirror, signal, progress)
      return await bootImage(path, signal, progress)
    } finally {
      progress.end()
      remove(folder)
    }
  },
)

function readFlags(args: string[]): Flags | null {
  try {
    const options = {
      mirror: { type: 'string', default: 'http://deb.debian.org/debian' },
      image: { type: 'string' },
      help: { type: 'boolean' },
    } as const
    const { values } = parseArgs({ args, options })
    if (values.help !== true) return { mirror: values.mirror, image: values.image ?? null }
    process.stdout.write(HELP)
    return null
  } catch (error) {
    throw flagError(error)
  }
}

async function whatIsMissing(image: string | null): Promise<string | null> {
  if (readManifest(linuxCacheFolder()) === null) {
    return 'no Linux guest in the cache: run `guestyard guest fetch linux` first'
  }
  if (image !== null && isFile(image)) return null
  if (process.getuid?.() !== 0) return 'debootstrap needs root'
  for (const tool of ['debootstrap', 'mkfs.ext4']) {
    if (!(await isThere(tool))) return `${tool} is not installed`
  }
  return null
}

async function isThere(tool: string): Promise<boolean> {
  try {
    await run(tool, [tool === 'debootstrap' ? '--version' : '-V'], {
      env: { ...process.env, PATH },
    })
    return true
  } catch (error) {
    return (error as { readonly code?: unknown }).code !== 'ENOENT'
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true
}

/** An ext4 of a minimal Debian, as its own tools make it. */
async function makeImage(
  image: string,
  folder: string,
  mirror: string,
  signal: AbortSignal,
  progress: Progress,
): Promise<void> {
  const root = join(folder, 'root')
  progress.line(`debootstrap: ${SUITE} for i386, with ${PACKAGES}`)
  const include = `--include=${PACKAGES}`
  const args = ['--arch=i386', '--variant=minbase', include, SUITE, root, mirror]
  await tool('debootstrap', args, signal)
  writeFileSync(join(root, 'etc/hostname'), 'guest\n')
  progress.line('mkfs.ext4: its file system')
  await tool('mkfs.ext4', ['-q', '-d', root, image, IMAGE_SIZE], signal)
  remove(root)
}

/** Unless debootstrap has left the host's /proc or its kin mounted in there, which are not to be removed. */
function remove(folder: string): void {
  if (!readFileSync('/proc/mounts', 'utf8').includes(` ${folder}/`)) {
    rmSync(folder, { recursive: true, force: true })
    return
  }
  process.stderr.write(`${folder}: left there, something is mounted in it\n`)
}

async function tool(
  command: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<string> {
  const running = run(command, args, { env: { ...process.env, PATH }, maxBuffer: OUTPUT_MAX })
  // It is waited for even then: debootstrap unmounts what it has mounted.
  const end = (): void => void running.child.kill()
  signal.addEventListener('abort', end, { once: true })
  try {
    return (await running).stdout
  } catch (error) {
    signal.throwIfAborted()
    const { stdout = '', stderr = '' } = error as { readonly stdout?: string; stderr?: string }
    const said = `${stdout}\n${stderr}`.trim().split('\n').at(-1)
    throw new Error(`${command} failed: ${said}`, { cause: error })
  } finally {
    signal.removeEventListener('abort', end)
  }
}

interface Check {
  readonly what: string
  readonly is: string
  readonly wanted: string
}

async function bootImage(image: string, signal: AbortSignal, progress: Progress): Promise<boolean> {
  const began = performance.now()
  const host = await startHost({})
  const checks: Check[] = []
  try {
    progress.line('booting it')
    const vm = host.createVm({
      name: 'debian',
      memoryBytes: MEMORY_BYTES,
      linux: { append: 'guestyard.root=/dev/sda' },
      disks: [{ file: image }],
    })
    await abortable(vm.start(), signal)
    const said = (script: string): Promise<string> => abortable(sayOf(vm, script), signal)
    checks.push({
      what: 'state of the system',
      is: await said(STATE),
      wanted: 'running',
    })
    const seconds = ((performance.now() - began) / 1000).toFixed(0)
    checks.push(
      { what: 'process 1', is: await said('cat /proc/1/comm'), wanted: 'systemd' },
      { what: 'failed units', is: await said('systemctl --failed --plain -q'), wanted: '' },
      { what: 'systemd-detect-virt', is: await said('systemd-detect-virt'), wanted: 'microsoft' },
      {
        what: 'driver of its disk',
        is: await said('cat /sys/class/scsi_host/host0/proc_name'),
        wanted: 'storvsc_host',
      },
    )
    progress.line('turning it off')
    await vm.exec('systemctl poweroff').catch(() => {})
    const exit = await abortable(vm.exit, signal)
    checks.push({ what: 'its end', is: exit.reason, wanted: 'exited' })
    progress.end()
    process.stdout.write(`up in ${seconds} s\n`)
  } finally {
    await host.close()
  }
  await tool('e2fsck', ['-f', '-n', image], signal)
  progress.end()
  process.stdout.write('e2fsck finds nothing\n')
  return report(checks)
}

async function sayOf(vm: Vm, script: string): Promise<string> {
  return Buffer.from((await vm.exec(script)).output)
    .toString()
    .trimEnd()
}

function report(checks: readonly Check[]): boolean {
  for (const { what, is, wanted } of checks) {
    const mark = is === wanted ? '✓' : '✗'
    process.stdout.write(
      `${mark} ${what}: ${is || 'none'}${is === wanted ? '' : ` (wanted: ${wanted || 'none'})`}\n`,
    )
  }
  return checks.every(({ is, wanted }) => is === wanted)
}
