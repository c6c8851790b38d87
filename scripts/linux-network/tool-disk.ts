/** A disk with Debian's own tools for i386, for guests whose busybox lacks them: fetched with apt, in a folder of its own. */

import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const MIRROR = 'http://deb.debian.org/debian'
const SUITE = 'bookworm'
const LIBRARIES = '/mnt/lib/i386-linux-gnu:/mnt/usr/lib/i386-linux-gnu'

/** How a guest that has the disk at `/mnt` runs ethtool. */
export const ETHTOOL = `/mnt/lib/ld-linux.so.2 --library-path ${LIBRARIES} /mnt/sbin/ethtool`

/** Puts the packages' files into an ext4 image. Throws, with what apt said, when they can't be had. `folder` is the caller's to remove. */
export function makeToolDisk(folder: string, image: string, packages: readonly string[]): void {
  const work = join(folder, 'apt')
  const tree = join(folder, 'tree')
  for (const name of ['lists/partial', 'archives/partial']) {
    mkdirSync(join(work, name), { recursive: true })
  }
  writeFileSync(join(work, 'sources.list'), `deb ${MIRROR} ${SUITE} main\n`)
  writeFileSync(join(work, 'status'), '')
  const settings = [
    'APT::Architecture=i386',
    'APT::Architectures=i386',
    'APT::Sandbox::User=',
    'Acquire::Languages=none',
    `Dir::State=${work}`,
    `Dir::State::Lists=${work}/lists`,
    `Dir::State::status=${work}/status`,
    `Dir::Cache=${work}`,
    `Dir::Cache::archives=${work}/archives`,
    `Dir::Etc::SourceList=${work}/sources.list`,
    'Dir::Etc::SourceParts=-',
  ].flatMap((setting) => ['-o', setting])
  const run = (command: string, ...args: string[]): void => {
    const path = `${process.env['PATH']}:/usr/sbin:/sbin`
    execFileSync(command, args, { cwd: work, stdio: 'pipe', env: { ...process.env, PATH: path } })
  }
  run('apt-get', '-q', ...settings, 'update')
  run('apt-get', '-q', ...settings, 'download', ...packages)
  for (const name of readdirSync(work)) {
    if (name.endsWith('.deb')) run('dpkg-deb', '-x', join(work, name), tree)
  }
  run('mkfs.ext4', '-q', '-d', tree, image, '48M')
}
