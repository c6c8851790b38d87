// Two stock Linux guests on switches, their own hv_netvsc and their own TCP: ping, files over HTTP both ways, a gigabyte in one piece, jumbo
// frames, VLANs, Debian's ethtool and what it turns off beside a capture that tshark reads, a driver unbound and bound under traffic, a cable that is pulled and put back.
// Two boots, and five minutes that the driver needs for its first news of a cable: minutes, not seconds.
//
//   guestyard guest fetch linux
//   guestyard run scripts/linux-network.ts

import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defineScenario } from '@guestyard/scenario'

import { judgeCapture } from './linux-network/capture-judge.ts'
import { ETHTOOL, makeToolDisk } from './linux-network/tool-disk.ts'

/** The file that goes to and fro: lines of `seq`, which the host can write as well. */
const LINES = 1_000_000
/** Of the bulk transfer, in all. */
const BULK_BYTES = 2 ** 30
const QUIET_SECONDS = 303
const JUMBO_MTU = 8000
const CARRIER = '/sys/class/net/eth0/carrier'
const SERVER = '10.0.0.1'
const CLIENT = '10.0.0.2'

/** Every frame of the tagged switch, for tshark; not of the other, which carries gigabytes. */
const CAPTURE = join(tmpdir(), `guestyard-linux-network-${process.pid}.pcapng`)

export default defineScenario({
  switches: { tagged: { capture: CAPTURE } },
  vms: {
    server: {
      memory: '128 MiB',
      linux: {},
      nics: [
        { switch: 'lan', mtu: 9000 },
        { switch: 'tagged', vlan: 5 },
      ],
    },
    client: {
      memory: '128 MiB',
      linux: {},
      nics: [
        { switch: 'lan', mtu: 9000 },
        { switch: 'tagged', vlan: 5 },
        { switch: 'tagged', vlan: 6 },
      ],
    },
  },
  async run({ vms, host, expect, log }) {
    const { server, client } = vms
    const sh = async (vm: typeof server, script: string): Promise<string> => {
      const { exitCode, output } = await vm.exec(script)
      const text = output.trim()
      if (exitCode !== 0) throw new Error(`${script}: exit code ${exitCode}: ${text}`)
      return text
    }
    const matches = (text: string, what: string, pattern: RegExp): void => {
      expect(pattern.test(text) ? '' : text, what).toBe('')
    }
    const up = (vm: typeof server, nic: string, address: string): Promise<string> =>
      sh(vm, `ip link set ${nic} up && ip addr add ${address}/24 dev ${nic}`)
    const ping = (address: string, ...options: string[]): Promise<string> =>
      sh(client, `ping -c 3 -w 30 ${options.join(' ')} ${address}`)
    const file = Array.from({ length: LINES }, (_, line) => `${line + 1}\n`).join('')
    const sum = createHash('sha256').update(file).digest('hex')
    const fetchFrom = async (vm: typeof server, address: string): Promise<void> => {
      const got = await sh(vm, `wget -q -O - http://${address}/file | sha256sum`)
      expect(got.split(' ')[0], `SHA-256 of the file from ${address}`).toBe(sum)
    }
    await vms.all.started()
    for (const [vm, address] of [
      [server, SERVER],
      [client, CLIENT],
    ] as const) {
      await up(vm, 'eth0', address)
      await sh(
        vm,
        `mkdir -p /tmp/www/cgi-bin && seq 1 ${LINES} >/tmp/www/file && printf '#!/bin/sh\\necho; while cat /tmp/www/file; do :; done\\n' >/tmp/www/cgi-bin/stream && chmod +x /tmp/www/cgi-bin/stream && httpd -p 80 -h /tmp/www`,
      )
    }
    const { partitions } = await host.inspect()
    expect(
      partitions.map(({ nics }) => nics[0]?.address),
      'addresses of the adapters',
    ).toContain(await sh(server, 'cat /sys/class/net/eth0/address'))
    expect(await ping(SERVER, '-s 1400'), 'what ping says').toContain(' 3 packets received')
    await fetchFrom(client, SERVER)
    await fetchFrom(server, CLIENT)
    log(`ping; ${file.length} bytes over HTTP both ways, SHA-256 equal`)

    const stream = `wget -q -O - http://${SERVER}/cgi-bin/stream`
    const bulk = async (bytes: number): Promise<number> => {
      const began = performance.now()
      const count = bytes / 65_536
      const said = await sh(
        client,
        `${stream} | dd bs=64k count=${count} iflag=fullblock of=/dev/null 2>&1`,
      )
      expect(said, 'what dd says').toContain(`${count}+0 records in`)
      return bytes / 1e6 / ((performance.now() - began) / 1e3)
    }
    log(`${BULK_BYTES} bytes over TCP: ${(await bulk(BULK_BYTES)).toFixed(0)} MB/s`)

    await up(server, 'eth1', '10.0.5.1')
    await up(client, 'eth1', '10.0.5.2')
    expect(await ping('10.0.5.1'), 'within a VLAN').toContain(' 3 packets received')
    await sh(client, 'ip addr flush dev eth1; ip link set eth1 down')
    await up(client, 'eth2', '10.0.5.3')
    const apart = await client.exec('ping -c 2 -w 3 10.0.5.1')
    expect(apart.output, 'between VLANs').toContain(' 0 packets received')
    await sh(client, 'ip addr flush dev eth2; ip link set eth2 down')
    await up(client, 'eth1', '10.0.5.2')
    log('VLANs: within one a ping comes back, between two none does')

    const folder = mkdtempSync(join(tmpdir(), 'guestyard-linux-network-'))
    try {
      const image = join(folder, 'tools.img')
      makeToolDisk(folder, image, ['ethtool', 'libmnl0', 'libc6'])
      await client.attachDisk({ raw: image })
      await sh(client, 'while [ ! -e /dev/sda ]; do sleep 0.1; done; mount -t ext4 /dev/sda /mnt')
      const ethtool = (options: string): Promise<string> => sh(client, `${ETHTOOL} ${options} eth0`)
      expect(await ethtool('-i'), 'ethtool -i').toContain('driver: hv_netvsc')
      matches(await ethtool('-l'), 'ethtool -l', /Current[^]*Combined:\s+1/)
      const features = await ethtool('-k')
      for (const on of ['tx-checksumming', 'rx-checksumming', 'tcp-segmentation-offload']) {
        matches(features, 'ethtool -k', new RegExp(`^${on}: on`, 'm'))
      }
      matches(await ethtool('-S'), 'ethtool -S', /tx_no_space: \d+[^]*tx_queue_0_packets: \d+/)
      matches(await ethtool(''), 'the link speed at first', /Speed: 10000Mb\/s/)
      await client.setNicLinkSpeed(0, 2_500)
      await sh(client, `until ${ETHTOOL} eth0 | grep -q 'Speed: 2500Mb/s'; do sleep 0.2; done`)
      await client.setNicLinkSpeed(0, 10_000)
      log('ethtool: the link has 10000 Mb/s, and 2500 when it is told so')
      await sh(client, `${ETHTOOL} -K eth0 tso off gso off tx off rx off`)
      await fetchFrom(client, SERVER)
      await fetchFrom(server, CLIENT)
      await sh(client, `${ETHTOOL} -K eth0 tx on rx on tso on gso on`)
      await fetchFrom(server, CLIENT)
      // The same beside a capture, of fewer frames.
      const few = async (): Promise<void> => {
        await sh(client, 'wget -q -O /tmp/few http://10.0.5.1/few && cmp /tmp/few /tmp/www/few')
        await sh(server, 'wget -q -O /tmp/few http://10.0.5.2/few && cmp /tmp/few /tmp/www/few')
      }
      for (const vm of [server, client]) await sh(vm, 'head -c 200000 /tmp/www/file >/tmp/www/few')
      await few()
      await sh(client, `${ETHTOOL} -K eth1 tso off gso off tx off rx off`)
      await few()
      await sh(client, 'umount /mnt')
      log(
        'ethtool: features as NetVSP offers them; with checksums and segments left to Linux, and given back, files are the same',
      )
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }

    for (const vm of [server, client]) await sh(vm, `ip link set eth0 mtu ${JUMBO_MTU}`)
    const jumbo = `-s ${JUMBO_MTU - 28}`
    expect(await ping(SERVER, jumbo), 'jumbo frames').toContain(' 3 packets received')
    await fetchFrom(client, SERVER)
    log(`frames of ${JUMBO_MTU} bytes; ${(await bulk(BULK_BYTES / 8)).toFixed(0)} MB/s`)

    const device = '$(cat /tmp/device)'
    const driver = '/sys/bus/vmbus/drivers/hv_netvsc'
    await sh(client, 'basename $(readlink /sys/class/net/eth0/device) >/tmp/device')
    for (let times = 0; times < 3; times += 1) {
      await sh(client, `(${stream} >/dev/null 2>&1 &) ; sleep 1`)
      await sh(
        client,
        `echo ${device} >${driver}/unbind; killall wget; echo ${device} >${driver}/bind`,
      )
      await sh(client, 'while [ ! -e /sys/class/net/eth0 ]; do sleep 0.1; done')
      await up(client, 'eth0', CLIENT)
      expect(await ping(SERVER), 'after the driver came back').toContain(' 3 packets received')
    }
    await fetchFrom(client, SERVER)
    log('the driver was unbound and bound three times under traffic')

    // The driver of a 32-bit kernel puts news of the link off until its tick counter has wrapped, five minutes after the boot: it takes
    // the time of the last news, which is 0, for one to come (netvsc_link_change, Linux' netvsc_drv.c).
    await sh(client, `while [ $(cut -d. -f1 /proc/uptime) -lt ${QUIET_SECONDS} ]; do sleep 2; done`)
    await client.setNicLink(0, false)
    await sh(client, `while [ $(cat ${CARRIER}) = 1 ]; do sleep 0.2; done`)
    await client.setNicLink(0, true)
    await sh(client, `while [ $(cat ${CARRIER}) = 0 ]; do sleep 0.2; done`)
    expect(await ping(SERVER), 'after the cable came back').toContain(' 3 packets received')
    log('the cable was pulled and put back')

    const { frames, complaints } = judgeCapture(CAPTURE)
    expect(complaints, 'what tshark complains of').toBe(0)
    expect(frames > 500, 'frames of the capture are hundreds').toBe(true)
    rmSync(CAPTURE)
    log(`tshark: ${frames} frames, none malformed, every checksum right`)

    const { switches } = await host.inspect()
    for (const { name, ports } of switches) {
      for (const { name: port, sentFrames, sendDrops, receiveDrops } of ports) {
        log(
          `${name}: ${port}: ${sentFrames} frames sent, drops ${JSON.stringify([sendDrops, receiveDrops])}`,
        )
      }
    }
  },
})
