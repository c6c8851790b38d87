/** What tshark says of a capture that is still being written: frames, and those that are malformed or whose checksums are wrong. */

import { spawnSync } from 'node:child_process'

const OUTPUT_MAX = 256 * 1024 * 1024
const CHECKS = ['ip', 'tcp', 'udp'].flatMap((protocol) => ['-o', `${protocol}.check_checksum:TRUE`])
const FIELDS = ['_ws.malformed', 'ip.checksum.status', 'tcp.checksum.status', 'udp.checksum.status']
/** Checksum states of tshark. */
const BAD = '0'

/** Throws when tshark is not there. The last frame may be cut off: it is left out. */
export function judgeCapture(path: string): { frames: number; complaints: number } {
  const wanted = FIELDS.flatMap((field) => ['-e', field])
  const args = ['-r', path, ...CHECKS, '-T', 'fields', ...wanted]
  const { stdout, error } = spawnSync('tshark', args, { encoding: 'utf8', maxBuffer: OUTPUT_MAX })
  if (error !== undefined) throw new Error('tshark is not installed')
  const lines = stdout.split('\n').slice(0, -1)
  const isBad = (line: string): boolean => {
    const [malformed = '', ...states] = line.split('\t')
    return malformed !== '' || states.includes(BAD)
  }
  return { frames: lines.length, complaints: lines.filter(isBad).length }
}
