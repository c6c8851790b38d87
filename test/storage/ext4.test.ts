// A file system that mkfs.ext4 made on our image, overwritten by a guest through the bus: e2fsck finds it clean, and its files hold
// what the guest wrote.

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'

import { startHost, type DiskOptions } from '@guestyard/management'
import { convertImage, type ImageFormat } from '@guestyard/storage/file'

import { contentOf, type Extent, type FileWork } from './file-content.ts'

const MIB = 2 ** 20
const FS_BLOCK_BYTES = 1024
const FILES = ['first', 'second', 'third']
const FILE_BYTES = MIB
const PROGRAM = new URL('guests/file-writer.ts', import.meta.url)

const hasTools = ['mkfs.ext4', 'e2fsck', 'debugfs', 'dumpe2fs'].every(
  (tool) => spawnSync(tool, ['-V']).error === undefined,
)
if (!hasTools) console.log('skipped: e2fsprogs is not there to make and check file systems with')

const folder = mkdtempSync(join(tmpdir(), 'guestyard-ext4-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function tool(command: string, ...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${status}\n${stdout}${stderr}`)
  return stdout
}

/** A file system with files of one mebibyte in it. */
function makeFileSystem(image: string): void {
  const files = join(folder, 'files')
  mkdirSync(files, { recursive: true })
  for (const name of FILES) writeFileSync(join(files, name), new Uint8Array(FILE_BYTES).fill(1))
  writeFileSync(image, '')
  truncateSync(image, 16 * MIB)
  tool('mkfs.ext4', '-q', '-F', '-b', String(FS_BLOCK_BYTES), '-d', files, image)
}

/** Where its files and its free blocks are. */
function workOn(image: string): FileWork {
  const files = FILES.map((name, index) => {
    const numbers = tool('debugfs', '-R', `blocks /${name}`, image).trim().split(/\s+/).map(Number)
    return { seed: 1000 + index, extents: runsOf(numbers) }
  })
  const free = [...tool('dumpe2fs', image).matchAll(/^ {2}Free blocks: (.+)$/gm)].flatMap(
    ([, list]) =>
      list!.split(', ').map((range) => {
        const [first, last = first] = range.split('-').map(Number)
        return { block: first!, count: last! - first! + 1 }
      }),
  )
  return { fsBlockBytes: FS_BLOCK_BYTES, files, free }
}

function runsOf(numbers: readonly number[]): Extent[] {
  const runs: { block: number; count: number }[] = []
  for (const block of numbers) {
    const last = runs.at(-1)
    if (last !== undefined && last.block + last.count === block) last.count += 1
    else runs.push({ block, count: 1 })
  }
  return runs
}

/** A machine for each disk, at work at the same time. */
async function overwritten(disks: readonly DiskOptions[], work: FileWork): Promise<void> {
  await using host = await startHost({ log: { level: 'silent' } })
  const machines = disks.map((disk, index) =>
    host.createVm({ name: `vm${index}`, memoryBytes: 8 * MIB, program: PROGRAM, disks: [disk] }),
  )
  await Promise.all(
    machines.map(async (vm) => {
      await vm.start()
      expect(await vm.call('overwrite', work)).toBeGreaterThan(50)
      await vm.stop()
    }),
  )
}

function expectClean(image: string): void {
  expect(tool('e2fsck', '-fn', image)).toContain(': 14/4096 files')
  for (const [index, name] of FILES.entries()) {
    const dumped = join(folder, `${name}.dumped`)
    tool('debugfs', '-R', `dump /${name} ${dumped}`, image)
    const wanted = new Uint8Array(FILE_BYTES)
    contentOf(1000 + index, 0, wanted)
    expect(Buffer.compare(readFileSync(dumped), wanted)).toBe(0)
  }
}

/** Copies a disk into an image of another format. */
function convert(from: string, to: string, format: ImageFormat): void {
  const job = convertImage(from, to, { format })
  while (!job.step());
}

test.skipIf(!hasTools)(
  'a file system is clean after a guest overwrote its files and trimmed it, in a raw image, a VHD and a VHDX',
  { timeout: 60_000 },
  async () => {
    const raw = join(folder, 'raw.img')
    makeFileSystem(raw)
    const work = workOn(raw)
    expect(work.free.length).toBeGreaterThan(0)
    const converted = (['vhd', 'vhdx'] as const).map((format) =>
      join(folder, `converted.${format}`),
    )
    convert(raw, converted[0]!, 'vhd')
    convert(raw, converted[1]!, 'vhdx')
    const disks = converted.map((file) => ({ file }))
    await overwritten([{ file: raw, format: 'raw' }, ...disks], work)
    expectClean(raw)
    for (const file of converted) {
      const back = `${file}.img`
      convert(file, back, 'raw')
      expectClean(back)
    }
  },
)
