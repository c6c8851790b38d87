// What a guest leaves to its adapter, as Wireshark judges it: a capture of the guest's own port holds whole frames with right checksums.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { VirtualSwitch } from '@guestyard/network'
import { createCaptureFile } from '@guestyard/network/file'
import { PcapngWriter, PortCapture } from '@guestyard/network/pcap'
import { PacketInfo } from '@guestyard/network/rndis'
import { frameBytes, ipv4, ipv6, macText, tcp, udp } from '../support/frames.ts'
import { RawGuest, packet } from '../support/raw-guest.ts'
import { noTshark, tshark } from '../support/tshark.ts'

const IPV4 = 0x800
const IPV6 = 0x86dd
/** Checksum information of TCP behind so many bytes. */
const csum = (bits: number, at: number): number => bits | (at << 16)
const lso = (at: number, isV6: boolean): number =>
  (1000 | (at << 20) | 0x4000_0000 | (isV6 ? 0x8000_0000 : 0)) >>> 0

test.skipIf(noTshark !== undefined)(
  'tshark finds no frame malformed, and every checksum right',
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'capture-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const path = join(folder, 'guest.pcapng')
    const file = createCaptureFile(path)
    const lan = new VirtualSwitch({ clock: { now: () => 0 } })
    const port = { name: 'guest', address: macText(1) }
    const guest = new RawGuest({ switch: lan, port }).start()
    new PortCapture(new PcapngWriter(file), { nowUs: () => 1 }).add(guest.vsp.port)
    const data = Array.from({ length: 3500 }, (_, at) => (at * 11) & 0xff)
    const few = data.slice(0, 77)
    const sent: readonly (readonly [number, number[], number, number])[] = [
      [IPV4, ipv4(6, tcp(80, 4000, few)), PacketInfo.CHECKSUM, csum(1 | 4 | 0x10, 34)],
      [IPV4, ipv4(17, udp(80, 4000, few)), PacketInfo.CHECKSUM, csum(1 | 8 | 0x10, 34)],
      [IPV6, ipv6(6, tcp(80, 4000, few)), PacketInfo.CHECKSUM, csum(2 | 4, 54)],
      [IPV6, ipv6(17, udp(80, 4000, few)), PacketInfo.CHECKSUM, csum(2 | 8, 54)],
      [IPV4, ipv4(6, tcp(80, 4000, data, { sequence: 1000 })), PacketInfo.LSO, lso(34, false)],
      [IPV6, ipv6(6, tcp(80, 4000, data, { sequence: 1000 })), PacketInfo.LSO, lso(54, true)],
    ]
    for (const [type, payload, kind, value] of sent) {
      const frame = frameBytes({ to: 2, from: 1, type, payload })
      expect(guest.sendSection(packet(frame, [[kind, value]]))).toBe(1)
    }
    file.close()
    const fields = [
      'ip.checksum.status',
      'tcp.checksum.status',
      'udp.checksum.status',
      '_ws.malformed',
    ]
    const checks = ['ip', 'tcp', 'udp'].map((protocol) => `${protocol}.check_checksum:TRUE`)
    // 1: good.
    const v4Tcp = '1\t1\t\t'
    const v6Tcp = '\t1\t\t'
    const lines = tshark(path, fields, checks).split('\n')
    const segments = (line: string): string[] => Array.from({ length: 4 }, () => line)
    expect(lines).toEqual([
      ...[v4Tcp, '1\t\t1\t', v6Tcp, '\t\t1\t'],
      ...segments(v4Tcp),
      ...segments(v6Tcp),
      '',
    ])
  },
)
